// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test, { type TestContext } from "node:test";
import { openTcpSocket } from "../base/os/tcp-socket.ts";
import { dialLoopback } from "./dial-loopback.ts";

const call = { signal: AbortSignal.timeout(60_000) };
/** Stands for a pod that shares our namespace. */
const here = {
  openTcpSocket: async (_path: string, family: "ipv4" | "ipv6") => openTcpSocket(family),
};

async function listener(t: TestContext, host: string): Promise<number> {
  const server = net.createServer((socket) => socket.end(`from ${host}`));
  server.listen(0, host);
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

async function heard(fd: number): Promise<string> {
  const pieces: Buffer[] = [];
  const socket = new net.Socket({ fd });
  socket.on("data", (piece) => pieces.push(Buffer.from(piece)));
  await once(socket, "close");
  return Buffer.concat(pieces).toString();
}

for (const netnsPath of ["", "/run/netns/some"]) {
  for (const host of ["127.0.0.1", "::1"]) {
    test(`dialLoopback reaches ${host} ${netnsPath === "" ? "on the host" : "in a pod"}`, async (t) => {
      let port: number;
      try {
        port = await listener(t, host);
      } catch {
        t.skip(`needs ${host}`);
        return;
      }
      assert.equal(await heard(await dialLoopback(here, netnsPath, port, call)), `from ${host}`);
    });
  }
}

test("dialLoopback says why a port cannot be reached", async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  await assert.rejects(dialLoopback(here, "", port, call), {
    code: "UNAVAILABLE",
    message: new RegExp(`^cannot connect to port ${port}: 127\\.0\\.0\\.1: connection refused`),
  });
});

test("dialLoopback passes on that the namespace cannot be entered", async () => {
  const gone = { openTcpSocket: () => Promise.reject(new Error("no such namespace")) };
  await assert.rejects(dialLoopback(gone, "/gone", 80, call), /no such namespace/);
});
