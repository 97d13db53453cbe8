// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A systemctl for a box that has no systemd: what is asked of it is done by the test. */
export interface ServiceHook extends AsyncDisposable {
  /** The program. */
  readonly file: string;
  /** All that was asked. */
  readonly asked: readonly string[];
}

const script = (folder: string): string => `#!/bin/sh
ask='${folder}'/$$
echo "$*" >"$ask.new" && mv "$ask.new" "$ask.ask"
while [ ! -e "$ask.done" ]; do sleep 0.1; done
exit "$(cat "$ask.done")"
`;

/** `answer`: the exit status, once it is done. */
export async function openServiceHook(
  folder: string,
  answer: (words: string) => Promise<number>,
): Promise<ServiceHook> {
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, "systemctl");
  await writeFile(file, script(folder));
  await chmod(file, 0o755);
  const asked: string[] = [];
  const closed = new AbortController();
  const serving = (async () => {
    while (!closed.signal.aborted) {
      for (const name of readdirSync(folder).filter((one) => one.endsWith(".ask"))) {
        const base = path.join(folder, name.slice(0, -".ask".length));
        await rename(`${base}.ask`, `${base}.taken`);
        const words = (await readFile(`${base}.taken`, "utf8")).trim();
        asked.push(words);
        const status = await answer(words).catch((error: unknown) => {
          console.error(words, error);
          return 1;
        });
        await writeFile(`${base}.status`, String(status));
        await rename(`${base}.status`, `${base}.done`);
      }
      await sleep(50);
    }
  })();
  return {
    file,
    asked,
    [Symbol.asyncDispose]: async () => {
      closed.abort();
      await serving;
    },
  };
}
