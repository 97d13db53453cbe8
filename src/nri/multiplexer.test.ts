// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { describe, it } from "node:test";
import { silentLogger } from "../base/logger.ts";
import { codec } from "../rpc/codec.ts";
import { TtrpcClient } from "../ttrpc/client.ts";
import { TtrpcRegistry } from "../ttrpc/registry.ts";
import { ServerConnection } from "../ttrpc/server.ts";
import { Multiplexer, maxPayloadBytes, StreamId } from "./multiplexer.ts";

const service = "nri.pkg.api.v1alpha1.Plugin";
const limit = () => ({ signal: AbortSignal.timeout(60_000) });

/** What a plugin does with its two streams: it serves on the one, and answers what it was configured with. */
function serve(stream: Duplex): void {
  const impl = {
    Configure: async ({ config }: { config: string }) => ({ events: config.length }),
  };
  const registry = new TtrpcRegistry();
  registry.register(service, impl);
  const connection = new ServerConnection(stream, registry, silentLogger, limit().signal);
  stream.on("data", (chunk: Buffer) => connection.receive(chunk));
  stream.on("close", () => connection.end());
}

async function configure(client: TtrpcClient, length: number): Promise<number> {
  const request = codec("nri.pkg.api.v1alpha1.ConfigureRequest").encode({
    config: "x".repeat(length),
  });
  const answer = await client.call(service, "Configure", request, limit());
  return codec("nri.pkg.api.v1alpha1.ConfigureResponse").decode(answer).events;
}

/** Passes bytes on in pieces of `size`. */
function inPieces(from: Duplex, to: Duplex, size: number): void {
  from.on("data", (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; at += size) to.write(chunk.subarray(at, at + size));
  });
  from.on("end", () => to.end());
}

function frame(id: number, payload: Buffer | number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(id, 0);
  header.writeUInt32BE(typeof payload === "number" ? payload : payload.length, 4);
  return Buffer.concat([header, typeof payload === "number" ? Buffer.alloc(0) : payload]);
}

function framesOf(bytes: Buffer): { id: number; length: number }[] {
  const frames = [];
  for (let at = 0; at < bytes.length; ) {
    const [id, length] = [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)];
    frames.push({ id, length });
    at += 8 + length;
  }
  return frames;
}

describe("a multiplexer", () => {
  for (const size of [1, 7, 4096, 1 << 20]) {
    it(`carries calls in both directions, cut into ${size} bytes`, async () => {
      const [[ours, here], [theirs, there]] = [duplexPair(), duplexPair()];
      inPieces(here, there, size);
      inPieces(there, here, size);
      using runtime = new Multiplexer(ours);
      using plugin = new Multiplexer(theirs);
      serve(plugin.open(StreamId.plugin));
      serve(runtime.open(StreamId.runtime));
      using toPlugin = new TtrpcClient(runtime.open(StreamId.plugin));
      using toRuntime = new TtrpcClient(plugin.open(StreamId.runtime));
      const lengths = size === 1 ? [0, 10, 5000] : [0, 10, 5000, 300_000];
      for (const client of [toPlugin, toRuntime]) {
        assert.deepEqual(
          await Promise.all(lengths.map((length) => configure(client, length))),
          lengths,
        );
      }
    });
  }

  const messages = [1, 4095, 4096, 4097, 10_000, maxPayloadBytes];
  for (const length of messages) {
    it(`sends a message of ${length} bytes as a Go peer reads it`, async () => {
      const [ours, peer] = duplexPair();
      using mux = new Multiplexer(ours);
      const chunks: Buffer[] = [];
      peer.on("data", (chunk: Buffer) => chunks.push(chunk));
      const { promise, resolve } = Promise.withResolvers<void>();
      mux.open(StreamId.plugin).write(Buffer.alloc(length, 7), () => resolve());
      await promise;
      await new Promise(setImmediate);
      const rest = Math.max(0, length - 4096);
      assert.deepEqual(
        framesOf(Buffer.concat(chunks)),
        [Math.min(length, 4096), rest]
          .filter((bytes) => bytes > 0)
          .map((bytes) => ({ id: StreamId.plugin, length: bytes })),
      );
    });
  }

  it("drops frames of streams that nobody has opened, and empty ones", async () => {
    const [ours, peer] = duplexPair();
    using mux = new Multiplexer(ours);
    const stream = mux.open(StreamId.plugin);
    const heard = once(stream, 5);
    for (const bytes of [
      frame(0, Buffer.from("zero")),
      frame(StreamId.runtime, Buffer.from("not open")),
      frame(StreamId.plugin, Buffer.alloc(0)),
      frame(StreamId.plugin, Buffer.from("he")),
      frame(77, Buffer.alloc(100_000)),
      frame(StreamId.plugin, Buffer.from("llo")),
    ]) {
      peer.write(bytes);
    }
    assert.equal(await heard, "hello");
  });

  it("leaves the thread to others while a peer floods, and reads it again", async () => {
    const [ours, peer] = duplexPair();
    using mux = new Multiplexer(ours);
    const heard = once(mux.open(StreamId.plugin), 4);
    const flood = Buffer.concat(Array.from({ length: 20_000 }, () => frame(77, Buffer.alloc(0))));
    const end = limit().signal;
    while (!ours.isPaused()) {
      end.throwIfAborted();
      peer.write(flood);
      await new Promise(setImmediate);
    }
    peer.write(frame(StreamId.plugin, Buffer.from("well")));
    assert.equal(await heard, "well");
  });

  const endings: readonly { name: string; end: (peer: Duplex, stream: Duplex) => void }[] = [
    {
      name: "the peer claims a longer frame than there is",
      end: (peer) => peer.write(frame(9, maxPayloadBytes + 1)),
    },
    { name: "the peer closes", end: (peer) => peer.end() },
    { name: "the connection fails", end: (peer) => peer.destroy(new Error("broken")) },
    { name: "a stream is closed", end: (_peer, stream) => stream.destroy() },
    {
      name: "the peer floods a stream that is not read",
      end: (peer) => {
        for (let at = 0; at < 3; at += 1) {
          peer.write(frame(StreamId.plugin, Buffer.alloc(maxPayloadBytes)));
        }
      },
    },
  ];
  for (const { name, end } of endings) {
    it(`ends with all its streams when ${name}`, async () => {
      const [ours, peer] = duplexPair();
      peer.on("error", () => {});
      peer.resume();
      using mux = new Multiplexer(ours);
      const streams = [StreamId.plugin, StreamId.runtime].map((id) => mux.open(id));
      const [first] = streams;
      assert.ok(first);
      end(peer, first);
      await mux.closed;
      assert.deepEqual(
        streams.map(({ destroyed }) => destroyed),
        [true, true],
      );
      assert.equal(mux.open(9).destroyed, true);
    });
  }
});

async function once(stream: Duplex, length: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (text.length >= length) resolve(text);
  });
  return promise;
}
