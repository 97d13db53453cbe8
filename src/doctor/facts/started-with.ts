// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readlinkSync } from "node:fs";
import path from "node:path";
import { listenerOf } from "../../base/os/unix-peer.ts";
import type { LoadOptions } from "../../config/load.ts";

/**
 * The configuration that the berthd at a socket was started with, by its command line; undefined where nobody listens
 * there, or somebody else.
 */
export function startedWith(socket: string): LoadOptions | undefined {
  try {
    const pid = listenerOf(socket)?.process?.pid;
    if (pid === undefined) return undefined;
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return optionsOf(words, readlinkSync(`/proc/${pid}/cwd`));
  } catch {
    return undefined; // not for us to see, or gone meanwhile
  }
}

/** Exported for tests: what a command line of `berthd serve` says, with its paths from `cwd`. */
export function optionsOf(words: readonly string[], cwd: string): LoadOptions | undefined {
  const at = words.indexOf("serve");
  if (at < 1 || !words.slice(0, at).some((word) => /(^|\/)berthd(\.\w+)?$/.test(word)))
    return undefined;
  const flags = words.slice(at + 1);
  const told = (long: string, short?: string): string | undefined => {
    for (const [index, word] of flags.entries()) {
      if (word === long || word === short) return flags[index + 1];
      if (word.startsWith(`${long}=`)) return word.slice(long.length + 1);
    }
    return undefined;
  };
  const place = (long: string, short?: string): string | undefined => {
    const found = told(long, short);
    return found ? path.resolve(cwd, found) : undefined;
  };
  const [file, root, state] = [place("--config", "-c"), place("--root"), place("--state")];
  const address = place("--address", "-a");
  const overrides = {
    ...(root !== undefined && { root }),
    ...(state !== undefined && { state }),
    ...(address !== undefined && { grpc: { address } }),
  };
  return { overrides, ...(file !== undefined && { file }) };
}
