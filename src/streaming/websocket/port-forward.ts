// SPDX-License-Identifier: Apache-2.0
import { type Dial, joinPort } from "../port-connection.ts";
import type { ChannelSocket } from "./channel-socket.ts";

/**
 * Port-forward over `v4.channel.k8s.io`: one connection for each port, channel 2i for the bytes of the
 * i-th port and 2i + 1 for its error, each beginning with the port as two bytes, little-endian. The
 * session is over when all of them are.
 */
export async function forwardPorts(
  socket: ChannelSocket,
  ports: readonly number[],
  dial: Dial,
): Promise<void> {
  await Promise.all(
    ports.map(async (port, index) => {
      const errorNumber = index * 2 + 1;
      const data = socket.channel(index * 2);
      const name = Buffer.alloc(2);
      name.writeUInt16LE(port);
      socket.send(index * 2, name);
      socket.send(errorNumber, name);
      // The client cannot end its half alone, so the pod's end is both.
      data.once("finish", () => data.deliverEnd());
      await joinPort(dial, port, data, (message) => socket.send(errorNumber, Buffer.from(message)));
    }),
  );
  await socket.finish();
}
