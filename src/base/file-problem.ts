// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { shortened } from "./shortened.ts";

/** A file may have thousands of faults, and each may quote it. */
const toldIssues = 5;
const longestProblem = 400;

/** What is wrong with a file, by what reading it threw: in one line of bounded length, with the place in the file. */
export function fileProblem(error: unknown): string {
  const text =
    error instanceof z.ZodError
      ? z.prettifyError(new z.ZodError(error.issues.slice(0, toldIssues)))
      : error instanceof Error
        ? error.message
        : String(error);
  return shortened(text.replaceAll("\n", " "), longestProblem);
}
