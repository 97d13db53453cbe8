// SPDX-License-Identifier: Apache-2.0
import { run } from "../../base/process.ts";
import { shortened } from "../../base/shortened.ts";

const options = { timeoutMs: 3_000, maxOutputBytes: 4 * 1024 * 1024 };
const lines = 200;
const longest = 300;

/** Why a service ended, as far as the last error in its journal tells; "" where there is none, or no journal. */
export async function lastWordsOf(service: string): Promise<string> {
  try {
    const argv = ["-u", service, "-n", String(lines), "-o", "cat", "--no-pager"];
    const { stdout } = await run("journalctl", argv, options);
    return shortened(lastError(stdout.toString()), longest);
  } catch {
    return "";
  }
}

/** Exported for tests: of a Go program, by klog or by its end. */
export function lastError(journal: string): string {
  for (const line of journal.split("\n").toReversed()) {
    const told =
      /^[EF]\d{4} .*?"(?:command failed)".*? err="((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ??
      /^(?:panic|Error): (.*)/.exec(line)?.[1];
    if (told !== undefined) return told.replaceAll(/\\(.)/g, "$1");
  }
  return "";
}
