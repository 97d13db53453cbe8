// SPDX-License-Identifier: Apache-2.0
// Entry of `berth`: bin/berth runs this file.
import { buildBerth } from "./berth-program.ts";
import { processIo } from "./cli-io.ts";
import { runProgram } from "./run-program.ts";

const io = processIo();
process.exitCode = await runProgram(buildBerth(io), process.argv.slice(2), io);
