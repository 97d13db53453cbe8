// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import { isPassing, isPassingStatus, type Patience, passing, patiently } from "./patience.ts";

const patience: Patience = {
  attempts: 4,
  delayMs: 1,
  maxDelayMs: 2,
  longestWaitMs: 20,
  totalWaitMs: 1000,
};
const call = () => ({ patience, signal: new AbortController().signal });
const busy = (retryAfterMs?: number) =>
  fault("UNAVAILABLE", "it is busy", { details: { status: 503, ...passing(retryAfterMs) } });

test("what may pass is tried again until it succeeds", async () => {
  let asked = 0;
  const answer = await patiently(async () => {
    asked += 1;
    if (asked < 4) throw busy();
    return "here";
  }, call());
  assert.deepEqual([answer, asked], ["here", 4]);
});

test("what stays is tried once, and thrown as it is", async () => {
  const refusal = fault("NOT_FOUND", "no such thing");
  let asked = 0;
  const work = async (): Promise<never> => {
    asked += 1;
    throw refusal;
  };
  await assert.rejects(patiently(work, call()), (error) => error === refusal);
  assert.equal(asked, 1);
});

test("what is given up tells how often it was tried, and is not tried again by who waits for it", async () => {
  let asked = 0;
  const inner = () =>
    patiently(async () => {
      asked += 1;
      throw busy();
    }, call());
  await assert.rejects(patiently(inner, call()), (error: Error) => {
    assert.equal(error.message, "it is busy (4 attempts)");
    assert.equal(isPassing(error), false);
    return true;
  });
  assert.equal(asked, 4);
});

test("attempts count anew after progress", async () => {
  let asked = 0;
  const answer = await patiently(async (progress) => {
    asked += 1;
    if (asked % 3 === 0) progress();
    if (asked < 12) throw busy();
    return asked;
  }, call());
  assert.equal(answer, 12);
});

test("a server that wants to be left alone for longer than is waited for is given up at once", async () => {
  let asked = 0;
  const work = async (): Promise<never> => {
    asked += 1;
    throw busy(7_200_000);
  };
  await assert.rejects(patiently(work, call()), {
    code: "UNAVAILABLE",
    message: "it is busy (it wants to be asked again in 120 minutes)",
  });
  assert.equal(asked, 1);
});

test("waits together have an end", async () => {
  let asked = 0;
  const work = async (): Promise<never> => {
    asked += 1;
    throw busy(20);
  };
  const short = { ...patience, totalWaitMs: 30 };
  await assert.rejects(patiently(work, { ...call(), patience: short }), { code: "UNAVAILABLE" });
  assert.equal(asked, 2);
});

test("a wait is left when the signal fires", async () => {
  const abort = new AbortController();
  const work = async (): Promise<never> => {
    setImmediate(() => abort.abort());
    throw busy();
  };
  const long = { ...patience, delayMs: 3_600_000, maxDelayMs: 3_600_000, totalWaitMs: Infinity };
  await assert.rejects(patiently(work, { patience: long, signal: abort.signal }), {
    name: "AbortError",
  });
});

test("statuses that pass are those of servers that are busy or broken for now", () => {
  const all = Array.from({ length: 400 }, (_, at) => 200 + at);
  const others = all.filter((status) => status >= 500 && ![501, 505, 511].includes(status));
  assert.deepEqual(all.filter(isPassingStatus), [408, 425, 429, ...others]);
});
