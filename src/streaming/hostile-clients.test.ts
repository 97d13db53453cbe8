// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { FakeSessionHost } from "../../test/support/streaming/fake-session-host.ts";
import {
  type SpdyClient,
  synStreamFrame,
  upgradeToSpdy,
} from "../../test/support/streaming/spdy-client.ts";
import { WsClient } from "../../test/support/streaming/ws-client.ts";
import { silentLogger } from "../base/logger.ts";
import { defaultConfig } from "../config/defaults.ts";
import type { StreamingServer } from "./ports.ts";
import { dataHeader, pingFrame } from "./spdy/frames.ts";
import { createStreamingServer } from "./streaming-server.ts";

const call = { signal: new AbortController().signal };
const protocols = ["v4.channel.k8s.io"];
const target = {
  containerId: "c",
  command: ["/bin/cat"],
  stdin: true,
  stdout: true,
  stderr: false,
  tty: false,
};

interface Rig {
  readonly server: StreamingServer;
  readonly host: FakeSessionHost;
  /** A client that has upgraded and opened nothing yet. */
  readonly newClient: () => Promise<SpdyClient>;
}

/** Every test ends with a session that works, and with none left over. */
async function rig(t: TestContext, work: (rig: Rig) => Promise<void>): Promise<void> {
  const host = new FakeSessionHost();
  const config = { ...defaultConfig.streaming, creationTimeoutMs: 5000 };
  const server = await createStreamingServer({ config, host, log: silentLogger });
  t.after(() => server[Symbol.asyncDispose]());
  const newClient = async (): Promise<SpdyClient> => {
    const { client } = await upgradeToSpdy(await server.exec(target, call), protocols);
    assert.ok(client);
    return client;
  };
  await work({ server, host, newClient });
  await proveAlive(server);
  await host.allDisposed();
}

async function proveAlive(server: StreamingServer): Promise<void> {
  const url = await server.exec({ ...target, command: ["/bin/echo", "alive"], stdin: false }, call);
  const client = await WsClient.connect(url, "v5.channel.k8s.io");
  await client.closeCode;
  assert.equal(client.textOf(1), "alive\n");
}

/** Writes for as long as the peer takes it, and settles when it has hung up. */
async function writeUntilClosed(socket: SpdyClient["socket"], bytes: Buffer): Promise<void> {
  while (!socket.destroyed) {
    if (!socket.write(bytes)) {
      await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("frames of noise close the connection", async (t) => {
  await rig(t, async ({ newClient }) => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 8, maxLength: 400 }), async (noise) => {
        const client = await newClient();
        client.socket.write(Buffer.from(noise));
        client.socket.end();
        await client.closed;
      }),
      { numRuns: 60 },
    );
  });
});

test("headers that inflate without end close the connection", async (t) => {
  await rig(t, async ({ newClient }) => {
    const client = await newClient();
    const bomb = await client.deflate(Buffer.alloc(32 * 1024 * 1024));
    client.socket.write(synStreamFrame(1, 0, bomb));
    await client.closed;
  });
});

test("streams without end close the connection", async (t) => {
  await rig(t, async ({ newClient }) => {
    const client = await newClient();
    const block = await client.deflate(Buffer.alloc(4));
    const next = await client.deflate(Buffer.alloc(4));
    const frames = Array.from({ length: 3000 }, (_, index) =>
      synStreamFrame(index * 2 + 1, 0, index === 0 ? block : next),
    );
    client.socket.write(Buffer.concat(frames));
    client.socket.resume();
    await client.closed;
  });
});

test("stream numbers that go back close the connection", async (t) => {
  await rig(t, async ({ newClient }) => {
    const client = await newClient();
    await client.open({ streamtype: "error" });
    client.socket.write(synStreamFrame(1, 0, await client.deflate(Buffer.alloc(4))));
    await client.closed;
  });
});

test("a client that sends pings and never reads is cut off", async (t) => {
  await rig(t, async ({ newClient }) => {
    const client = await newClient();
    client.socket.pause();
    await writeUntilClosed(client.socket, Buffer.concat(Array(4096).fill(pingFrame(1))));
  });
});

test("a WebSocket client that sends pings and never reads is cut off", async (t) => {
  await rig(t, async ({ server }) => {
    const client = await WsClient.connect(await server.exec(target, call), "v4.channel.k8s.io");
    const { _socket: socket } = client.socket as unknown as { readonly _socket: Socket };
    socket.pause();
    const ping = Buffer.concat([Buffer.from([0x89, 0xfd, 0, 0, 0, 0]), Buffer.alloc(125)]);
    await writeUntilClosed(socket, Buffer.concat(Array(512).fill(ping)));
  });
});

test("data on streams nobody opened, and in tiny pieces, costs nothing", async (t) => {
  await rig(t, async ({ newClient, host }) => {
    const client = await newClient();
    for (const streamtype of ["error", "stdin"]) await client.open({ streamtype });
    const stdout = await client.open({ streamtype: "stdout" });
    const tiny = Buffer.concat([dataHeader(99, 1, false), Buffer.from("x")]);
    client.socket.write(Buffer.concat(Array(100_000).fill(tiny)));
    const mine = Buffer.concat([dataHeader(3, 1, false), Buffer.from("y")]);
    client.socket.write(Buffer.concat(Array(100_000).fill(mine)));
    client.socket.write(dataHeader(3, 0, true));
    assert.equal(await stdout.text(), "y".repeat(100_000));
    await host.allDisposed();
    assert.equal(host.disposed.length, 1);
  });
});

test("WebSocket frames of noise close the connection", async (t) => {
  await rig(t, async ({ server }) => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 2, maxLength: 200 }), async (noise) => {
        const client = await WsClient.connect(await server.exec(target, call), "v5.channel.k8s.io");
        client.socket.on("error", () => {});
        const { _socket: socket } = client.socket as unknown as { readonly _socket: Socket };
        socket.end(Buffer.from(noise));
        await client.closeCode;
      }),
      { numRuns: 60 },
    );
  });
});

test("requests of noise are answered or cut off", async (t) => {
  await rig(t, async ({ server }) => {
    const word = fc.oneof(
      fc.constantFrom("GET", "POST", "/exec/x", "HTTP/1.1", "Upgrade: SPDY/3.1", "Host: x", "\r\n"),
      fc.constantFrom(
        "Connection: Upgrade",
        "Content-Length: 9",
        "Transfer-Encoding: chunked",
        " ",
      ),
      fc.string({ maxLength: 20 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 30 }), async (words) => {
        const socket = connect(Number(server.address.split(":")[1]), "127.0.0.1");
        socket.on("error", () => {});
        socket.resume();
        socket.end(words.join(""));
        await once(socket, "close");
      }),
      { numRuns: 100 },
    );
  });
});

test("a request with endless headers is refused", async (t) => {
  await rig(t, async ({ server }) => {
    const socket = connect(Number(server.address.split(":")[1]), "127.0.0.1");
    socket.on("error", () => {});
    let answer = "";
    socket.on("data", (bytes) => {
      answer += bytes.toString();
    });
    socket.write("GET /exec/x HTTP/1.1\r\nhost: x\r\n");
    await writeUntilClosed(socket, Buffer.from(`x-more: ${"y".repeat(1000)}\r\n`));
    assert.match(answer, /^(HTTP\/1.1 431|$)/);
  });
});

test("two hundred sessions at once all work", async (t) => {
  await rig(t, async ({ server }) => {
    const open = async (index: number): Promise<void> => {
      const client = await WsClient.connect(await server.exec(target, call), "v5.channel.k8s.io");
      client.send(0, Buffer.from(`hello ${index}`));
      while (client.textOf(1) === "") await once(client.socket, "message");
      opened.push({ client, index });
    };
    const opened: { readonly client: WsClient; readonly index: number }[] = [];
    await Promise.all(Array.from({ length: 200 }, (_, index) => open(index)));
    for (const { client, index } of opened) {
      assert.equal(client.textOf(1), `hello ${index}`);
      client.socket.send(Buffer.from([255, 0]));
      assert.equal(await client.closeCode, 1000);
    }
  });
});
