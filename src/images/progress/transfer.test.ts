// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import type { TransferStep } from "../ports.ts";
import { changesDuring, Transfer } from "./transfer.ts";
import { type TransferNews, Transfers } from "./transfers.ts";

const step = (at: number, more: Partial<TransferStep> = {}): TransferStep => ({
  digest: `sha256:${at}` as TransferStep["digest"],
  kind: "layer",
  state: "waiting",
  doneBytes: 0,
  totalBytes: 10,
  ...more,
});
const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });

test("whoever looks gets each part's last state, once", () => {
  const transfer = new Transfer("pull", "a:1");
  assert.equal(transfer.totals().state, "resolving");
  transfer.step(step(1));
  transfer.step(step(2));
  const seen = transfer.version;
  for (let done = 1; done <= 10; done += 1) {
    transfer.step(step(2, { state: "downloading", doneBytes: done }));
  }
  transfer.step(step(1));
  assert.deepEqual(transfer.since(seen), [step(2, { state: "downloading", doneBytes: 10 })]);
  assert.deepEqual(transfer.since(transfer.version), []);
  assert.deepEqual(transfer.totals(), {
    doneBytes: 10,
    totalBytes: 20,
    layers: 2,
    doneLayers: 0,
    state: "downloading",
  });
});

test("an image with any number of parts takes the room of so many", () => {
  const transfer = new Transfer("pull", "a:1");
  for (let at = 0; at < 100_000; at += 1) transfer.step(step(at));
  assert.equal(transfer.since(0).length, 512);
});

test("changes are told while the work goes on, the last ones and its result at the end", async () => {
  const transfer = new Transfer("pull", "a:1");
  const { promise, resolve } = Promise.withResolvers<string>();
  const changes = changesDuring(() => transfer, promise, call());
  transfer.step(step(1));
  assert.deepEqual((await changes.next()).value, [step(1)]);
  transfer.step(step(1, { state: "done" }));
  resolve("id");
  assert.deepEqual((await changes.next()).value, [step(1, { state: "done" })]);
  assert.deepEqual(await changes.next(), { done: true, value: "id" });
});

test("an error of the work, and the reader's own end, end the changes", async () => {
  const failing = changesDuring(() => undefined, Promise.reject(new Error("broken")), call());
  await assert.rejects(failing.next(), /broken/);
  const stop = new AbortController();
  const endless = changesDuring(() => undefined, new Promise<never>(() => {}), stop);
  stop.abort(new Error("gone"));
  await assert.rejects(endless.next(), /gone/);
});

test("each transfer is listed and counted while it runs, and its start and end are told", async () => {
  const news: TransferNews[] = [];
  const transfers = new Transfers((one) => news.push(one));
  const { promise, resolve } = Promise.withResolvers<void>();
  const pull = transfers.during("pull", "a:1", async (transfer) => {
    transfer.step(step(1, { state: "done", doneBytes: 10 }));
    transfer.moved(10);
    await promise;
  });
  assert.deepEqual(
    transfers.list().map(({ image }) => image),
    ["a:1"],
  );
  assert.deepEqual(transfers.counts(), {
    bytes: { pull: 10, push: 0 },
    running: { pull: 1, push: 0 },
  });
  resolve();
  await pull;
  const refuse = () => Promise.reject(fault("NOT_FOUND", "no b:1"));
  await assert.rejects(transfers.during("push", "b:1", refuse), { message: "no b:1" });
  assert.deepEqual(transfers.counts(), {
    bytes: { pull: 10, push: 0 },
    running: { pull: 0, push: 0 },
  });
  assert.deepEqual(
    news.map(({ kind, moment, image, state, doneLayers, error }) => [
      kind,
      moment,
      image,
      state,
      doneLayers,
      error,
    ]),
    [
      ["pull", "start", "a:1", "resolving", 0, ""],
      ["pull", "end", "a:1", "done", 1, ""],
      ["push", "start", "b:1", "resolving", 0, ""],
      ["push", "end", "b:1", "failed", 0, "no b:1"],
    ],
  );
});
