// SPDX-License-Identifier: Apache-2.0

/** What a child process of ours has answered: JSON in the last line of its output. Undefined when that is none. */
export function lastJsonLine(output: Buffer): unknown {
  try {
    return JSON.parse(output.toString("utf8").trimEnd().split("\n").at(-1) ?? "");
  } catch {
    return undefined;
  }
}
