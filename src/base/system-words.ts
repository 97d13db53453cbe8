// SPDX-License-Identifier: Apache-2.0
import { getSystemErrorMessage } from "node:util";
import { errnoOf } from "./errors.ts";

/**
 * What a system call's error says, in the system's words and without the call and the path that Node adds: "no such
 * file or directory". undefined for what is no such error.
 */
export function systemWords(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("errno" in error)) return undefined;
  const { errno } = error;
  if (errnoOf(error) === "EISDIR") return "it is a folder";
  return typeof errno === "number" ? getSystemErrorMessage(errno) : undefined;
}
