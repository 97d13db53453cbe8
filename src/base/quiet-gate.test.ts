// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { QuietGate } from "./quiet-gate.ts";

const call = { signal: new AbortController().signal };

/** Lets everything run that can. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("QuietGate waits for the last holder, and keeps nobody out meanwhile", async () => {
  const gate = new QuietGate();
  const first = await gate.enter(call);
  let ran = false;
  const alone = gate.whenQuiet(() => {
    ran = true;
    return Promise.resolve("done");
  }, call);
  const second = await gate.enter(call); // not held up
  first[Symbol.dispose]();
  first[Symbol.dispose](); // once is enough
  await settle();
  assert.equal(ran, false);
  second[Symbol.dispose]();
  assert.equal(await alone, "done");
  (await gate.enter(call))[Symbol.dispose]();
});

test("QuietGate lets holders in when the work alone has ended, also badly", async () => {
  const gate = new QuietGate();
  const work = Promise.withResolvers<void>();
  const alone = gate.whenQuiet(() => work.promise, call);
  await settle();
  let isIn = false;
  const holder = gate.enter(call).then(() => {
    isIn = true;
  });
  const next = gate.whenQuiet(() => Promise.reject(new Error("never quiet again")), {
    signal: AbortSignal.timeout(50),
  });
  const given = assert.rejects(next, { name: "TimeoutError" });
  await settle();
  assert.equal(isIn, false);
  work.reject(new Error("broken"));
  await assert.rejects(alone, { message: "broken" });
  await holder;
  const alive = setTimeout(() => {}, 1000); // the signal's timer does not keep the process
  await given;
  clearTimeout(alive);
});

test("QuietGate lets go who gives up at the door", async () => {
  const gate = new QuietGate();
  const work = Promise.withResolvers<void>();
  const alone = gate.whenQuiet(() => work.promise, call);
  await settle();
  const abort = new AbortController();
  const refused = assert.rejects(gate.enter({ signal: abort.signal }), { message: "enough" });
  abort.abort(new Error("enough"));
  await refused;
  work.resolve();
  await alone;
  await gate.whenQuiet(() => Promise.resolve(), call);
});
