// SPDX-License-Identifier: Apache-2.0
import { lstat, rm } from "node:fs/promises";
import net from "node:net";
import { errnoOf } from "../../base/errors.ts";
import { sleep } from "../../base/timers.ts";

/**
 * A killed process closes what it has open a moment after it counts as gone: on a busy machine that takes longer. One that
 * is served for longer than this is a living shim's.
 */
const attempts = 50;
const pauseMs = 20;

/**
 * Removes the socket of a shim that was killed before it could: nobody accepts on it any more. One
 * that somebody serves is left alone, and so is what is no socket: its path comes from a file, which may be damaged,
 * and the kernel refuses a connection to any other file as well.
 */
export async function removeDeadSocket(file: string): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const facts = await lstat(file).catch(() => undefined);
    if (facts?.isSocket() !== true) return;
    const refusal = await refusalOf(file);
    if (refusal === "ECONNREFUSED") await rm(file, { force: true });
    if (refusal !== undefined) return;
    await sleep(pauseMs);
  }
}

/** The errno of a connection; undefined when it was accepted. */
function refusalOf(file: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect(file);
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", (error) => resolve(errnoOf(error)));
  });
}
