// SPDX-License-Identifier: Apache-2.0
// Entry of `berth`: bin/berth runs this file.
import { runBerth } from "./run-berth.ts";

process.exitCode = await runBerth(process.argv.slice(2));
