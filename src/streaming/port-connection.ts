// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Connects to a port of the pod. Rejects with the reason for the client. */
export type Dial = (port: number) => Promise<Socket>;

/**
 * Joins one forwarded connection: bytes and half-closes go both ways, and a side that breaks takes the
 * other along. A port that cannot be reached goes to `reportError`, and ends this connection only.
 * Settles when it is over.
 */
export async function joinPort(
  dial: Dial,
  port: number,
  data: Duplex,
  reportError: (message: string) => void,
): Promise<void> {
  let pod: Socket;
  try {
    pod = await dial(port);
  } catch (error) {
    reportError(error instanceof Error ? error.message : String(error));
    data.end();
    data.resume();
    return;
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  let broken: string | undefined;
  pod.on("error", (error) => {
    broken = `connection to port ${port} broke: ${error.message}`;
  });
  pod.on("close", () => {
    if (broken !== undefined) reportError(broken);
    if (!data.writableEnded) data.end();
    data.resume(); // nobody takes it any more
    resolve();
  });
  data.on("close", () => {
    // The stream was reset, or the client is gone. After both half-closes the pod's side ends by itself.
    if (!data.readableEnded || !data.writableFinished) pod.destroy();
  });
  if (data.destroyed) {
    pod.destroy();
  } else {
    data.pipe(pod);
    pod.pipe(data);
  }
  await promise;
}
