// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { BusyMark } from "./busy-mark.ts";

test("a mark tells the log at which its worker is, also within other work", () => {
  const mark = new BusyMark();
  assert.equal(mark.read(), undefined);
  mark.during(7, () => {
    assert.deepEqual(mark.read(), { key: "7", turn: 1 });
    mark.during(7, () => assert.deepEqual(mark.read(), { key: "7", turn: 2 }));
    assert.equal(mark.read()?.key, "7");
  });
  assert.equal(mark.read(), undefined);
});

test("a worker is retired once, at the end of the work at which it was, and of no other", () => {
  let told = 0;
  const mark = new BusyMark(undefined, () => (told += 1));
  const daemon = new BusyMark(mark.shared);
  mark.during(7, () => {
    const seen = daemon.read();
    assert.ok(seen);
    mark.during(7, () => assert.equal(daemon.retire(seen), false, "it has gone on"));
    const now = daemon.read();
    assert.ok(now && daemon.retire(now));
    assert.equal(daemon.retire(now), false);
    mark.during(7, () => {});
    assert.equal(told, 0, "it is still at it");
  });
  assert.equal(told, 1);
});
