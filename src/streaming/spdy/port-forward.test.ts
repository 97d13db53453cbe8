// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { MemoryTransport } from "../../../test/fuzz/support/memory-transport.ts";
import { SpdyClientBytes } from "../../../test/fuzz/support/spdy-seeds.ts";
import { SpdyPortForward } from "./port-forward.ts";

function rig(dial: (port: number) => Promise<Socket>): {
  readonly transport: MemoryTransport;
  readonly forward: SpdyPortForward;
} {
  const transport = new MemoryTransport();
  const head = Buffer.alloc(0);
  const common = { creationTimeoutMs: 60_000, onActivity: () => {} };
  return { transport, forward: new SpdyPortForward({ transport, head, dial, ...common }) };
}

const pair = (port: number): Record<"error" | "data", Record<string, string>> => ({
  error: { streamtype: "error", requestid: "7", port: String(port) },
  data: { streamtype: "data", requestid: "7", port: String(port) },
});

test("half a pair that its client resets is forgotten, and its name may come again", async () => {
  const dialed: number[] = [];
  const { transport, forward } = rig(async (port) => {
    dialed.push(port);
    return new PassThrough() as unknown as Socket;
  });
  const client = new SpdyClientBytes()
    .open(1, pair(80).data)
    .reset(1)
    .open(3, pair(81).data)
    .open(5, pair(81).error);
  transport.arrive(client.bytes);
  await transport.allTaken();
  assert.deepEqual(dialed, [81]);
  forward.destroy();
});

test("resetting streams whose port is still being connected to opens no more than 1,000", async () => {
  let dialed = 0;
  const { transport, forward } = rig(() => {
    dialed += 1;
    return new Promise(() => {});
  });
  const client = new SpdyClientBytes();
  for (let id = 1; id < 4 * 1100; id += 4) {
    client
      .open(id, pair(80).error)
      .open(id + 2, pair(80).data)
      .reset(id)
      .reset(id + 2);
  }
  transport.arrive(client.bytes);
  await transport.allTaken();
  assert.equal(dialed, 1000);
  forward.destroy();
});
