// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../base/errors.ts";
import { StoredBeside } from "./stored-beside.ts";

const full = fault("RESOURCE_EXHAUSTED", "no space for the manifest");

test("the first document that cannot be stored ends the work beside it, with its own error", async () => {
  const caller = new AbortController();
  await using beside = new StoredBeside({ signal: caller.signal });
  beside.add(Promise.resolve());
  await beside.all();
  assert.equal(beside.call.signal.aborted, false);

  beside.add(Promise.reject(full));
  beside.add(Promise.reject(fault("UNKNOWN", "the config cannot be stored either")));
  await assert.rejects(beside.all(), full);
  assert.equal(beside.call.signal.reason, full);
  assert.equal(caller.signal.aborted, false);
});

test("a caller that gives up ends it as well, and what is being written is waited for", async () => {
  const caller = new AbortController();
  const { promise: writing, resolve: written } = Promise.withResolvers<void>();
  let isOver = false;
  const work = (async () => {
    await using beside = new StoredBeside({ signal: caller.signal });
    beside.add(writing);
    caller.abort(full);
    beside.call.signal.throwIfAborted();
  })().finally(() => {
    isOver = true;
  });
  await new Promise(setImmediate);
  assert.equal(isOver, false);
  written();
  await assert.rejects(work, full);
});
