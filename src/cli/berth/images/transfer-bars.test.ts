// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BarStyle, barLines } from "./transfer-bars.ts";
import { type ShownStep, TransferRates } from "./transfer-rates.ts";

const step = (at: number, state: string, doneBytes = 0): ShownStep => ({
  digest: `sha256:${String(at).repeat(64)}`,
  kind: "layer",
  state,
  doneBytes,
  totalBytes: 4096,
  bytesPerSecond: state === "downloading" ? 1024 : 0,
});
const style: BarStyle = { width: 100, height: 24, isUnicode: false, hasColor: false };
const steps = [
  step(1, "done", 4096),
  step(2, "downloading", 2048),
  step(3, "extracting", 4096),
  step(4, "waiting"),
];

test("each part has a line, and the whole has one", () => {
  assert.deepEqual(barLines(steps, style), [
    "1111111111111 layer    done        4.0KiB",
    "2222222222222 layer    downloading [==============>               ] 2.0KiB of 4.0KiB  1.0KiB/s",
    "3333333333333 layer    extracting  [==============================] 4.0KiB of 4.0KiB",
    "4444444444444 layer    waiting     0B of 4.0KiB",
    "1 of 4 done, 10.0KiB of 16.0KiB, 1.0KiB/s",
  ]);
});

test("a terminal that shows more than ASCII gets finer bars, and colours unless it has none", () => {
  const [done = "", downloading] = barLines(steps, { ...style, isUnicode: true, hasColor: true });
  assert.ok(done.startsWith("\u001b[32m1111111111111 ") && done.endsWith("\u001b[39m"), done);
  assert.match(downloading ?? "", /\[━{14}╸ {15}\]/);
});

test("a terminal of the usual width has bars", () => {
  const [, downloading] = barLines(steps, { ...style, width: 80 });
  assert.match(downloading ?? "", /\[=+> +\]/);
});

test("no line is as long as the terminal is wide, however narrow that is", () => {
  for (const width of [1, 2, 20, 40, 60, 80, 200]) {
    for (const line of barLines(steps, { ...style, width })) {
      assert.ok(line.length < Math.max(2, width), `${width}: ${line}`);
    }
  }
});

test("where not all have room those at work come first", () => {
  const many = Array.from({ length: 60 }, (_, at) =>
    step(at % 10, at === 50 ? "downloading" : "done"),
  );
  const lines = barLines(many, { ...style, height: 10 });
  assert.equal(lines.length, 9);
  assert.ok(lines.some((line) => line.includes("downloading")));
  assert.ok(lines.includes("  and 53 more"));
});

test("what a daemon calls a part cannot move the cursor", () => {
  const [line] = barLines([{ ...step(1, "done"), kind: "\u001b[2J", state: "x\ny" }], style);
  assert.ok(line !== undefined && !/\p{Cc}/u.test(line), JSON.stringify(line));
});

test("a rate is that of the last seconds, and begins anew with the part", () => {
  const rates = new TransferRates();
  const told = (doneBytes: number, now: number): number => {
    const digest = "sha256:1";
    const more = { doneBytes: BigInt(doneBytes), totalBytes: 1_000_000n };
    rates.update([{ digest, kind: "layer", state: "downloading", ...more }], now);
    return rates.list(now)[0]?.bytesPerSecond ?? -1;
  };
  assert.equal(told(0, 0), 0);
  assert.equal(told(1000, 1000), 1000);
  assert.equal(told(3000, 2000), 1500);
  assert.equal(told(9000, 4500), 2400);
  assert.equal(told(100, 5000), 0);
  assert.equal(rates.list(60_000)[0]?.bytesPerSecond, 0);
});
