// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { SingleFlight } from "./single-flight.ts";

test("SingleFlight gives joiners the running attempt's result", async () => {
  const flights = new SingleFlight<number>();
  const { promise, resolve } = Promise.withResolvers<number>();
  let attempts = 0;
  const attempt = (): Promise<number> => {
    attempts += 1;
    return promise;
  };
  const both = Promise.all([flights.join("k", attempt), flights.join("k", attempt)]);
  resolve(7);
  assert.deepEqual(await both, [7, 7]);
  assert.equal(attempts, 1);
  assert.equal(flights.isRunning("k"), false);
});

test("SingleFlight gives joiners the failure, then starts anew", async () => {
  const flights = new SingleFlight<number>();
  const fail = (): Promise<number> => Promise.reject(new Error("no"));
  const results = await Promise.allSettled([flights.join("k", fail), flights.join("k", fail)]);
  assert.deepEqual(
    results.map((r) => r.status),
    ["rejected", "rejected"],
  );
  assert.equal(await flights.join("k", async () => 1), 1);
});

test("SingleFlight goes on when a joiner gives up", async () => {
  const flights = new SingleFlight<number>();
  const { promise, resolve } = Promise.withResolvers<number>();
  const abort = new AbortController();
  let seen: AbortSignal | undefined;
  const leaver = flights.join(
    "k",
    ({ signal }) => {
      seen = signal;
      return promise;
    },
    { signal: abort.signal },
  );
  const stayer = flights.join("k", () => promise);
  abort.abort(new Error("left"));
  await assert.rejects(leaver, /left/);
  assert.equal(seen?.aborted, false);
  resolve(3);
  assert.equal(await stayer, 3);
});

test("SingleFlight aborts an unwatched attempt when asked to, and lets nobody join it", async () => {
  const flights = new SingleFlight<number>({ abandonWhenUnwatched: true });
  const abort = new AbortController();
  let seen: AbortSignal | undefined;
  const only = flights.join(
    "k",
    ({ signal }) => {
      seen = signal;
      return new Promise(() => {});
    },
    { signal: abort.signal },
  );
  abort.abort(new Error("left"));
  await assert.rejects(only, /left/);
  assert.equal(seen?.aborted, true);
  assert.equal(await flights.join("k", async () => 2), 2);
});
