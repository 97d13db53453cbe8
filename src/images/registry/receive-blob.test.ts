// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { ContentWriter, Digest } from "../../content/ports.ts";
import { receiveBlob } from "./receive-blob.ts";

const mib = 1024 * 1024;

/** Receives a blob of `size` bytes that `send` puts into the body. */
async function received(
  size: number,
  headers: IncomingHttpHeaders,
  send: (body: PassThrough) => unknown,
  windowMs = 0,
): Promise<number> {
  const body = new PassThrough();
  let offset = 0;
  const writer = {
    get offsetBytes() {
      return BigInt(offset);
    },
    write: async (bytes: Uint8Array) => void (offset += bytes.length),
  } as unknown as ContentWriter;
  const answer = {
    status: 200,
    headers,
    body: body as unknown as IncomingMessage,
    url: new URL("http://registry.test"),
    proxy: undefined,
    discard: async () => {},
    freed: async () => {},
  };
  const descriptor = {
    mediaType: "",
    digest: `sha256:${"0".repeat(64)}` as Digest,
    size,
    annotations: {},
  };
  const done = receiveBlob({
    answer,
    start: 0,
    descriptor,
    writer,
    windowMs,
    signal: AbortSignal.timeout(60_000),
  });
  await Promise.all([done, send(body)]).finally(() => body.destroy());
  return offset;
}

test("what a proxy compressed is not taken where it inflates beyond all measure", async () => {
  const bomb = zstdCompressSync(Buffer.alloc(64 * mib));
  await assert.rejects(
    received(64 * mib, { "content-encoding": "zstd" }, (body) => body.end(bomb)),
    { code: "FAILED_PRECONDITION", message: /inflates/ },
  );
  const small = zstdCompressSync(Buffer.alloc(4 * mib));
  const sent = received(4 * mib, { "content-encoding": "zstd" }, (body) => body.end(small));
  assert.equal(await sent, 4 * mib, "a layer may begin with zeros");
  const most = gzipSync(Buffer.alloc(32 * mib));
  const inflated = received(32 * mib, { "content-encoding": "gzip" }, (body) => body.end(most));
  assert.equal(await inflated, 32 * mib, "as much as gzip can");
});

test("progress is what came over the wire, not what it inflates to", async () => {
  const bomb = gzipSync(Buffer.alloc(8 * mib));
  const trickle = async (body: PassThrough): Promise<void> => {
    for (let at = 0; at < bomb.length && !body.destroyed; at += 20) {
      body.write(bomb.subarray(at, at + 20));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await assert.rejects(received(8 * mib, { "content-encoding": "gzip" }, trickle, 1_000), {
    code: "DEADLINE_EXCEEDED",
  });
});

test("what comes uncompressed counts as it is", async () => {
  const bytes = Buffer.alloc(4 * mib, 1);
  const paced = async (body: PassThrough): Promise<void> => {
    for (let at = 0; at < 8; at += 1) {
      body.write(bytes.subarray((at * mib) / 2, ((at + 1) * mib) / 2));
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
    body.end();
  };
  assert.equal(await received(bytes.length, {}, paced, 1_500), bytes.length);
});
