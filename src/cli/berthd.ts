// SPDX-License-Identifier: Apache-2.0
// Entry of `berthd`: bin/berthd runs this file.
import { buildBerthd } from "./berthd-program.ts";
import { processIo } from "./cli-io.ts";
import { runProgram } from "./run-program.ts";

const io = processIo({ outlivesErrors: true });
process.exitCode = await runProgram(buildBerthd(io), process.argv.slice(2), io);
