// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, openSync, truncateSync, writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { growingBytesOf } from "./blob-source.ts";

async function open(t: TestContext) {
  const home = await scratch({ prefix: "blob" });
  t.after(() => home[Symbol.asyncDispose]());
  const file = `${home.path}/data`;
  writeFileSync(file, "");
  return { file, fd: openSync(file, "r") };
}

test("a file is read as it grows, up to its size", async (t) => {
  const { file, fd } = await open(t);
  const whole = randomBytes(700_000);
  let written = 0;
  const waiting = (): void => {
    appendFileSync(file, whole.subarray(written, written + 100_000));
    written += 100_000;
  };
  const read = await buffer(growingBytesOf(fd, { sizeBytes: 650_000, waiting }));
  assert.deepEqual(read, whole.subarray(0, 650_000));
});

test("a file that stands still is given up, as is one that is cut", async (t) => {
  const { file, fd } = await open(t);
  writeFileSync(file, Buffer.alloc(1000));
  const growing = { sizeBytes: 2000, waiting: () => truncateSync(file, 10), patienceMs: 20 };
  await assert.rejects(buffer(growingBytesOf(fd, growing)), {
    code: "UNAVAILABLE",
    message: "blob stands still at 1000 of 2000 bytes",
  });
});
