// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { CollectionGate } from "./collection-gate.ts";

const call = { signal: new AbortController().signal };
const enough = new Error("enough");

/** A gate with a collection under way, until `end` is called. */
async function collecting() {
  const gate = new CollectionGate();
  const { promise, resolve } = Promise.withResolvers<void>();
  const collection = gate.collect(() => promise, call);
  return { gate, collection, end: resolve };
}

for (const [what, wait] of [
  ["bring something in", (gate: CollectionGate, signal: AbortSignal) => gate.enter({ signal })],
  [
    "collect next",
    (gate: CollectionGate, signal: AbortSignal) =>
      gate.collect(() => assert.fail("nobody waits for it"), { signal }),
  ],
] as const) {
  for (const when of ["before", "meanwhile"] as const) {
    test(`who waits to ${what} leaves a collection that runs: the signal fires ${when}`, async () => {
      const { gate, collection, end } = await collecting();
      const control = new AbortController();
      if (when === "before") control.abort(enough);
      const left = assert.rejects(wait(gate, control.signal), enough);
      control.abort(enough);
      await left;
      end();
      assert.equal(await collection, true);
      assert.equal(await gate.collect(() => Promise.resolve(), call), true);
    });
  }
}

test("a holder keeps collections off, and who waits for that hears when it leaves, or leaves himself", async () => {
  const gate = new CollectionGate();
  const holder = await gate.enter(call);
  assert.equal(await gate.collect(() => assert.fail("somebody holds"), call), false);
  await gate.idle({ signal: AbortSignal.abort(enough) });
  const idle = gate.idle(call);
  holder[Symbol.dispose]();
  await idle;
  assert.equal(await gate.collect(() => Promise.resolve(), call), true);
});
