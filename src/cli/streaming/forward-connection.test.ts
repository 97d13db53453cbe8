// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { forwardConnection } from "./forward-connection.ts";

async function listen(t: TestContext, act: (client: Socket) => void): Promise<number> {
  const clients: Socket[] = [];
  const server: Server = createServer((client) => {
    clients.push(client.on("error", () => {}));
    act(client);
  });
  t.after(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const greeting =
  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";
const cases = [
  ["never greets", () => {}],
  ["falls silent", (client: Socket) => void client.write(greeting)],
] as const;

for (const [what, act] of cases) {
  test(`a server that ${what} is left, with a word`, { timeout: 20_000 }, async (t) => {
    const port = await listen(t, act);
    const accepted = Promise.withResolvers<Socket>();
    const local = connect(await listen(t, accepted.resolve), "127.0.0.1");
    t.after(() => local.destroy());
    const url = `http://127.0.0.1:${port}/portforward/token`;
    const forwarded = forwardConnection(await accepted.promise, {
      url,
      port: 80,
      tls: {},
      silenceMs: 50,
    });
    await assert.rejects(forwarded, {
      code: "ABORTED",
      message: /the streaming server is silent$/,
    });
  });
}
