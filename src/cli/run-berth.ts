// SPDX-License-Identifier: Apache-2.0
import { keepCode, lacksKeptCode } from "../base/kept-code.ts";
import { buildBerth } from "./berth-program.ts";
import { processIo } from "./cli-io.ts";
import { runProgram } from "./run-program.ts";

/**
 * Runs `berth` with these arguments on the process's own streams. Answers its exit code. The first command of a package keeps
 * what it compiled; those of the package's warm-up, which differ, add theirs.
 */
export async function runBerth(args: readonly string[]): Promise<number> {
  const io = processIo();
  const code = await runProgram(buildBerth(io), args, io);
  const adds = io.env["BERTH_KEEP_CODE"] === "1";
  if (adds || lacksKeptCode()) await keepCode().catch(() => {}); // it goes without
  return code;
}
