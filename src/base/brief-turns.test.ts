// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { BriefTurns } from "./brief-turns.ts";

test("a few run at a time, in the order of arrival, and one that hangs stops counting", async () => {
  const turns = new BriefTurns({ atOnce: 1, bytes: 1, briefMs: 100 });
  const first = await turns.acquire({});
  const order: string[] = [];
  const second = turns.acquire({}).then((turn) => (order.push("second"), turn));
  const third = turns.acquire({}).then((turn) => (order.push("third"), turn));
  await setImmediate();
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await second; // and never ends
  await setImmediate();
  assert.deepEqual(order, ["second"]);
  (await third)[Symbol.dispose]();
  (await second)[Symbol.dispose]();
  const fourth = await turns.acquire({});
  const abort = new AbortController();
  const lost = turns.acquire({ signal: abort.signal });
  abort.abort(new Error("gone"));
  await assert.rejects(lost, /gone/);
  fourth[Symbol.dispose]();
});
