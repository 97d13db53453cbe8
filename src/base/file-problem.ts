// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { shortened } from "./shortened.ts";

/** How many of a file's faults are named: there may be thousands, and each may quote the file. */
const shownIssues = 5;
const longestProblem = 400;

/**
 * What is wrong with a file, from the error that reading it threw: one line of bounded length, with the place in the
 * file.
 */
export function fileProblem(error: unknown): string {
  const text =
    error instanceof z.ZodError
      ? z.prettifyError(new z.ZodError(error.issues.slice(0, shownIssues)))
      : error instanceof Error
        ? error.message
        : String(error);
  return shortened(text.replaceAll("\n", " "), longestProblem);
}
