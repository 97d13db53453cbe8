// SPDX-License-Identifier: Apache-2.0
import { rm } from "node:fs/promises";
import net from "node:net";
import { errnoOf } from "../../base/errors.ts";

/**
 * Removes the socket of a shim that was killed before it could: nobody accepts on it any more. One
 * that somebody serves is left alone.
 */
export async function removeDeadSocket(file: string): Promise<void> {
  const refusal = await new Promise<string | undefined>((resolve) => {
    const socket = net.connect(file);
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", (error) => resolve(errnoOf(error)));
  });
  if (refusal === "ECONNREFUSED") await rm(file, { force: true });
}
