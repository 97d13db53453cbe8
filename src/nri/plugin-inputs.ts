// SPDX-License-Identifier: Apache-2.0
import { constants, openSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { timeLimit } from "../base/deadline.ts";
import { errnoOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { makeFolder } from "../base/make-folder.ts";
import { identify, killProcess, waitUntilGone } from "../base/os/proc.ts";
import { processesBelow } from "../base/os/process-scan.ts";

/** How long killed ones may take to be gone, all together. */
const killedMs = 2000;

/**
 * The standard inputs of programs that the daemon starts: an empty file each, in a folder of their own. By these the next
 * daemon finds what one that was killed has left, and what that has started in turn: the end of the connection ends only
 * those that heed it.
 */
export class PluginInputs {
  readonly #folder: string;
  readonly #log: Logger;

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  /** A descriptor for the caller to close. `name` is the program's file name. */
  async open(name: string): Promise<number> {
    await makeFolder(this.#folder, 0o700);
    return openSync(path.join(this.#folder, name), constants.O_RDONLY | constants.O_CREAT, 0o600);
  }

  /** Kills all that have such an input, and waits until they are gone or cannot be. Does not throw. */
  async endAll(): Promise<void> {
    try {
      const names = await readdir(this.#folder);
      if (names.length === 0) return;
      await this.#kill();
      await Promise.all(names.map((name) => rm(path.join(this.#folder, name), { force: true })));
    } catch (err) {
      if (errnoOf(err) === "ENOENT") return;
      this.#log.warn({ err }, "NRI plugins of an earlier start cannot be looked for");
    }
  }

  async #kill(): Promise<void> {
    using limit = timeLimit(killedMs);
    const found = await processesBelow(this.#folder, "fd/0");
    await Promise.all(
      found.map(async ({ pid, target }) => {
        const process = identify(pid);
        if (process === undefined) return;
        killProcess(process, "SIGKILL");
        const fields = { plugin: path.basename(target), pid };
        if (await waitUntilGone(process, limit.signal)) {
          this.#log.info(fields, "process that an NRI plugin has left is ended");
        } else this.#log.error(fields, "process that an NRI plugin has left cannot be ended");
      }),
    );
  }
}
