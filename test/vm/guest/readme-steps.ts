// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";

/** Commands of deploy/README.md that an image of a finished system has behind it. */
const done = /^(git clone|\/opt\/berth\/scripts\/setup\.sh)\b/;

/**
 * The shell commands of deploy/README.md, a block each, as somebody who follows it types them: so the
 * page itself is what installs the daemon here.
 */
export async function readmeSteps(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8");
  return [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)]
    .map(([, block = ""]) =>
      block
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "" && !done.test(line))
        .join("\n"),
    )
    .filter((block) => block !== "");
}
