// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";

/** Commands of deploy/README.md that an image of a finished system has behind it. */
const done = /^(git clone|\/opt\/berth\/scripts\/setup\.sh)\b/;
/** Those that the package has done, as the page says. */
const packageHasDone =
  /^(ln -s|install .*(config\.toml|berthd\.(service|conf))|systemd-tmpfiles)\b/;

/**
 * The shell commands of deploy/README.md, a block each, as somebody who follows it types them: so the
 * page itself is what installs the daemon here, or what comes after the package's installation.
 */
export async function readmeSteps(file: string, isPackaged: boolean): Promise<string[]> {
  const text = await readFile(file, "utf8");
  return [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)]
    .map(([, block = ""]) =>
      block
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "" && !done.test(line))
        .filter((line) => !isPackaged || !packageHasDone.test(line))
        .join("\n"),
    )
    .filter((block) => block !== "");
}
