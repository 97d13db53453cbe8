// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, constants, mkdtempSync, openSync, readSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { makeFifo } from "../base/os/fifo.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { OutputTap } from "./output-tap.ts";

test("a tap counts what waits by the pieces too, and is relieved when they are read", async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth tap-"));
  const fifo = path.join(folder, "out");
  makeFifo(fifo);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => {
    closeSync(reader);
    removeFolderSync(folder);
  });
  const relieved = Promise.withResolvers<void>();
  using tap = new OutputTap([["stdout", fifo]], {
    onRelief: relieved.resolve,
    onEnd: (why) => relieved.reject(new Error(why)),
  });
  const pipeful = Buffer.alloc(64 * 1024, "x");
  tap.write("stdout", pipeful);
  const piece = Buffer.from("y");
  let pieces = 0;
  for (; pieces < 20_000 && !tap.full; pieces += 1) tap.write("stdout", piece);
  assert.equal(tap.full, true);
  assert.ok(pieces < 17_000, `${pieces} pieces`);
  assert.equal(readSync(reader, pipeful), pipeful.length);
  await relieved.promise;
  assert.equal(tap.full, false);
});
