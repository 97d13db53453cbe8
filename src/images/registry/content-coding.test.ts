// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { isMiscoded, plainBody } from "./content-coding.ts";

/** A frame of "hello", whose header asks for a window of 2^`windowLog` bytes. */
const zstdFrame = (windowLog: number): Buffer =>
  Buffer.concat([
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, (5 << 3) | 1, 0, 0]),
    Buffer.from("hello"),
  ]);

const decoded = (bytes: Buffer): Promise<Buffer> => {
  const body = Readable.from([bytes]) as unknown as IncomingMessage;
  return buffer(plainBody({ headers: { "content-encoding": "zstd" }, body }));
};

test("a zstd coding has a window of 8 MiB at most, as RFC 9659 says", async () => {
  assert.equal(String(await decoded(zstdFrame(23))), "hello");
  for (const windowLog of [24, 27]) {
    await assert.rejects(decoded(zstdFrame(windowLog)), (error) => isMiscoded(error));
  }
});
