// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { errnoOf } from "../../src/base/errors.ts";
import { must } from "./run.ts";

/** A fresh folder, removed when disposed. */
export interface Scratch extends AsyncDisposable {
  readonly path: string;
  /** Six hex digits that are this folder's own; for names of bridges, cgroups and networks. */
  readonly tag: string;
  /** Makes a folder in it. */
  folder(...names: readonly string[]): Promise<string>;
}

/**
 * Its path is short (unix sockets: 107 bytes) and has a space in it, since users' paths may. In memory for
 * what makes many files: a disk takes a millisecond for some.
 */
export async function scratch({
  prefix = "be",
  space = true,
  inMemory = false,
} = {}): Promise<Scratch> {
  const tag = randomBytes(3).toString("hex");
  const base = inMemory ? "/dev/shm" : await realpath(os.tmpdir());
  const made = await mkdtemp(path.join(base, `${prefix}${space ? " " : "-"}${tag}`));
  await chmod(made, 0o711); // the root of a user namespace must find its way to what is mounted in there
  return {
    path: made,
    tag,
    folder: async (...names) => {
      const folder = path.join(made, ...names);
      await mkdir(folder, { recursive: true });
      return folder;
    },
    [Symbol.asyncDispose]: async () => {
      try {
        await rm(made, { recursive: true, force: true, maxRetries: 5 });
      } catch (error) {
        if (errnoOf(error) !== "ENAMETOOLONG") throw error;
        await must("rm", ["-rf", made]); // rm walks name by name
      }
    },
  };
}
