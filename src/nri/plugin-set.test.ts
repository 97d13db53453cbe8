// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { describe, it } from "node:test";
import { FakePlugin } from "../../test/support/nri/fake-plugin.ts";
import { PluggedNode } from "../../test/support/nri/plugged-node.ts";
import { encodeFrame } from "../ttrpc/frame.ts";
import { Multiplexer, StreamId } from "./multiplexer.ts";

const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });

function admit(node: PluggedNode): { readonly peer: Duplex; readonly admitted: Promise<unknown> } {
  const [ours, peer] = duplexPair();
  peer.on("error", () => {});
  const admitted = node.set.admit(ours, { kind: "external" }, call());
  admitted.catch(() => {});
  return { peer, admitted };
}

describe("a connection that is no plugin's", () => {
  const kinds: readonly { readonly name: string; readonly send: (peer: Duplex) => void }[] = [
    { name: "says nothing", send: () => {} },
    { name: "closes at once", send: (peer) => peer.end() },
    { name: "sends noise", send: (peer) => peer.write(Buffer.alloc(5000, 0xff)) },
    {
      name: "sends noise as a message",
      send: (peer) => new Multiplexer(peer).open(StreamId.runtime).write(Buffer.alloc(5000, 0xff)),
    },
    {
      name: "calls what there is not",
      send: (peer) => {
        const payload = Buffer.from("0a046e6f7065", "hex");
        const bytes = encodeFrame({ streamId: 1, type: 1, flags: 0, payload });
        new Multiplexer(peer).open(StreamId.runtime).write(bytes);
      },
    },
    {
      name: "wants news before it has registered",
      send: (peer) => void new FakePlugin(peer).update([{ containerId: "c1" }]).catch(() => {}),
    },
  ];
  for (const { name, send } of kinds) {
    it(`costs itself only: it ${name}`, async () => {
      using node = new PluggedNode({ registrationTimeoutMs: 100 });
      const { peer, admitted } = admit(node);
      send(peer);
      await assert.rejects(admitted);
      node.settings = { ...node.settings, registrationTimeoutMs: 5000 };
      using _good = await node.plugged();
      assert.equal(node.plugins.list().length, 1);
      assert.deepEqual(node.updates, []);
      peer.destroy();
    });
  }

  const names = [
    { index: "1", name: "a" },
    { index: "x1", name: "a" },
    { index: "100", name: "a" },
    { index: "", name: "a" },
    { index: "10", name: "" },
    { index: "10", name: "a b" },
    { index: "10", name: "../a" },
    { index: "10", name: "a\n" },
    { index: "10", name: "a".repeat(300) },
  ];
  for (const options of names) {
    it(`is refused by its name: ${JSON.stringify(options).slice(0, 60)}`, async () => {
      using node = new PluggedNode();
      const { fake, admitted } = node.plug(options);
      await assert.rejects(fake.register(), { code: "INVALID_ARGUMENT" });
      await assert.rejects(admitted);
      await fake.closed;
    });
  }

  it("is closed when it subscribes what there is not, refuses its configuration, or dies with it", async () => {
    using node = new PluggedNode({ registrationTimeoutMs: 3000 });
    const bad = [
      node.plug({ events: 0x4000 }),
      node.plug({ events: -1 }),
      node.plug({ lacks: ["Configure"] }),
      node.plug({ lacks: ["Synchronize"] }),
      node.plug({ on: { Configure: () => new Promise(() => {}) } }),
    ];
    for (const { fake, admitted } of bad) {
      await fake.register();
      await assert.rejects(admitted);
      await fake.closed;
    }
    assert.equal(node.plugins.active, false);
  });

  it("cannot register twice", async () => {
    using node = new PluggedNode();
    const plugin = await node.plugged();
    await assert.rejects(plugin.register(), /has registered already/);
    assert.equal(node.plugins.list().length, 1);
  });
});

describe("a plugin that answers wrongly", () => {
  /** Takes a plugin's place on the wire once it serves: answers the next request with these frames. */
  const answers: readonly {
    readonly name: string;
    readonly type: number;
    readonly payload: Buffer;
  }[] = [
    { name: "noise", type: 2, payload: Buffer.alloc(100, 0xff) },
    { name: "a request", type: 1, payload: Buffer.alloc(0) },
    {
      name: "a message that is none",
      type: 2,
      payload: Buffer.from("120400ffffff", "hex"),
    },
  ];
  for (const { name, type, payload } of answers) {
    it(`is ended, and the operation goes on: ${name}`, async () => {
      using node = new PluggedNode();
      const [ours, peer] = duplexPair();
      peer.on("error", () => {});
      let isWrong = false;
      const [theirs, inner] = duplexPair();
      // What it sends passes here, until it is to answer wrongly.
      peer.pipe(inner);
      inner.on("data", (chunk: Buffer) => {
        if (!isWrong) peer.write(chunk);
      });
      const admitted = node.set.admit(ours, { kind: "external" }, call());
      const streamIds: number[] = [];
      using fake = new FakePlugin(theirs, {
        on: {
          StartContainer: async () => {
            isWrong = true;
            for (const streamId of [1, 3, 5, 7, 9]) {
              const body = encodeFrame({ streamId, type, flags: 0, payload });
              const header = Buffer.alloc(8);
              header.writeUInt32BE(StreamId.plugin, 0);
              header.writeUInt32BE(body.length, 4);
              peer.write(Buffer.concat([header, body]));
              streamIds.push(streamId);
            }
            return {};
          },
        },
      });
      await fake.register();
      await admitted;
      await node.plugins.tell({ kind: "StartContainer", pod: () => ({ id: "p" }) }, call());
      assert.equal(streamIds.length, 5);
      assert.partialDeepStrictEqual(node.plugins.list(), [{ state: "gone" }]);
    });
  }
});

it("fifty plugins take part, each in its place", async () => {
  using node = new PluggedNode();
  const order: string[] = [];
  const indexes = Array.from({ length: 50 }, (_, at) => String(99 - at));
  await Promise.all(
    indexes.map((index) =>
      node.plugged({
        index,
        on: {
          StartContainer: async () => {
            order.push(index);
            return {};
          },
        },
      }),
    ),
  );
  await node.plugins.tell({ kind: "StartContainer", pod: () => ({ id: "p" }) }, call());
  assert.deepEqual(order, indexes.toReversed());
});
