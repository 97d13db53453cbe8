// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, constants, mkdtempSync, openSync, writeSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { makeFifo } from "../base/os/fifo.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { FifoReader as ClientReader } from "../client/io/fifo-reader.ts";
import { FifoReader } from "./fifo-reader.ts";

const pipeful = Buffer.alloc(64 * 1024, "y\n");
/** More than any pipe holds. */
const tooMuch = 64;

/** A FIFO whose writer has it full again whenever something was read, until it is stopped. */
class RestlessWriter {
  readonly fifo: string;
  readonly #fd: number;
  refills = 0;
  #stopped = false;

  constructor(t: TestContext) {
    const folder = mkdtempSync(path.join(os.tmpdir(), "berth fifo-"));
    this.fifo = path.join(folder, "out");
    makeFifo(this.fifo);
    this.#fd = openSync(this.fifo, constants.O_RDWR | constants.O_NONBLOCK);
    writeSync(this.#fd, pipeful);
    t.after(() => {
      this.stop();
      removeFolderSync(folder);
    });
  }

  refill(): void {
    if (this.#stopped) return;
    this.refills += 1;
    assert.ok(this.refills < tooMuch, "read for as long as somebody writes");
    writeSync(this.#fd, pipeful);
  }

  stop(): void {
    if (!this.#stopped) closeSync(this.#fd);
    this.#stopped = true;
  }
}

test("a log's reader leaves a writer that never rests to the poller, and loses nothing", async (t) => {
  const writer = new RestlessWriter(t);
  const ended = Promise.withResolvers<void>();
  let bytes = 0;
  using reader = new FifoReader(writer.fifo, {
    onData: (chunk) => {
      bytes += chunk.length;
      writer.refill();
    },
    onEnd: ended.resolve,
  });
  reader.start({ drainFirst: true });
  const refills = writer.refills;
  assert.ok(refills > 0);
  writer.stop();
  await ended.promise;
  assert.equal(bytes, (1 + refills) * pipeful.length);
});

test("a client's reader leaves a writer that never rests to the poller, and loses nothing", async (t) => {
  const writer = new RestlessWriter(t);
  let bytes = 0;
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length;
    writer.refill();
  };
  using reader = new ClientReader(writer.fifo, onData, { drainFirst: true });
  const refills = writer.refills;
  assert.ok(refills > 0);
  writer.stop();
  await reader.ended;
  assert.equal(bytes, (1 + refills) * pipeful.length);
});

test("the last words in a FIFO that somebody keeps open are read, and a writer cannot hold that", (t) => {
  const writer = new RestlessWriter(t);
  let bytes = 0;
  const reader = new FifoReader(writer.fifo, {
    onData: (chunk) => {
      bytes += chunk.length;
      writer.refill();
    },
    onEnd: () => assert.fail("its writer lives"),
  });
  reader.start({ drainFirst: false });
  reader.readRest();
  reader[Symbol.dispose]();
  assert.equal(bytes, writer.refills * pipeful.length);
  assert.ok(bytes > 0);
});

test("a log's reader gives the others a turn after each read of a full pipe", async (t) => {
  const writer = new RestlessWriter(t);
  const ended = Promise.withResolvers<void>();
  let reads = 0;
  let most = 0;
  using reader = new FifoReader(writer.fifo, {
    onData: () => {
      reads += 1;
      if (writer.refills < 40) writer.refill();
      else writer.stop();
    },
    onEnd: ended.resolve,
  });
  const stream = { over: false };
  void ended.promise.then(() => (stream.over = true));
  reader.start({ drainFirst: false });
  while (!stream.over) {
    reads = 0;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, reads);
  }
  assert.equal(writer.refills, 40);
  assert.ok(most <= 2, `${most} reads in one turn`);
});
