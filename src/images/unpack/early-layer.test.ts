// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../content/digest.ts";
import { EarlyLayer } from "./early-layer.ts";

const never = new AbortController().signal;
const blob = digestOf("blob");
const result = { blobDigest: blob };

function rig(work: Promise<typeof result> | undefined) {
  const discarded: unknown[] = [];
  let signal = never;
  const early = new EarlyLayer<typeof result>(
    {
      start: (_file, call) => {
        signal = call.signal;
        return work;
      },
      discard: async (left) => void discarded.push(left),
    },
    { signal: never },
  );
  return { early, discarded, isAborted: () => signal.aborted };
}

test("what was extracted early is taken once, by its blob", async () => {
  const { early, discarded } = rig(Promise.resolve(result));
  assert.equal(await early.begin("file"), blob);
  assert.equal(early.begin("file"), undefined);
  assert.equal(await early.take(digestOf("other"), { signal: never }), undefined);
  assert.equal(await early.take(blob, { signal: never }), result);
  assert.equal(await early.take(blob, { signal: never }), undefined);
  await early[Symbol.asyncDispose]();
  assert.deepEqual(discarded, []);
});

test("what nobody takes is ended and removed", async () => {
  const { promise, resolve } = Promise.withResolvers<typeof result>();
  const { early, discarded, isAborted } = rig(promise);
  void early.begin("file");
  const taking = early.take(blob, { signal: never });
  const ending = early[Symbol.asyncDispose]();
  assert.equal(isAborted(), true);
  resolve(result);
  await ending;
  assert.equal(await taking, undefined);
  assert.deepEqual(discarded, [result]);
});

test("a failure is nobody's, nor is a start that cannot be now", async () => {
  const failing = rig(Promise.reject(new Error("hostile")));
  assert.equal(await failing.early.begin("file"), undefined);
  assert.equal(await failing.early.take(blob, { signal: never }), undefined);
  await failing.early[Symbol.asyncDispose]();
  const busy = rig(undefined);
  assert.equal(busy.early.begin("file"), undefined);
  assert.equal(await busy.early.take(blob, { signal: never }), undefined);
  assert.deepEqual([...failing.discarded, ...busy.discarded], []);
});
