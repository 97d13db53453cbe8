// SPDX-License-Identifier: Apache-2.0
import net from "node:net";

/** Sends everything to a port of 127.0.0.1, ends its half, and answers all that came back. */
export function askPort(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.setTimeout(60_000, () => socket.destroy());
    socket.on("data", (piece: Buffer) => pieces.push(piece));
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(Buffer.concat(pieces).toString()));
    socket.end(text);
  });
}
