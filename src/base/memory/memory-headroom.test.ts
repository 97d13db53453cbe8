// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isFault } from "../errors.ts";
import { MemoryHeadroom } from "./memory-headroom.ts";

const call = { signal: new AbortController().signal };
const limit = { bytes: 1000, cgroup: "/c", isV2: true };

test("programs run while there is room beside those that run, and one alone in any case", async () => {
  let held = 950;
  const room = new MemoryHeadroom({ limit, heldBytes: () => held });
  const first = await room.promise(100, call);
  const began: string[] = [];
  const second = room.promise(100, call).then((promised) => (began.push("second"), promised));
  await sleep(120);
  assert.equal(began.length, 0);
  held = 790;
  await second;
  const third = room.promise(100, call).then((promised) => (began.push("third"), promised));
  await sleep(120);
  assert.deepEqual(began, ["second"]);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await third;
  held = 1000;
  (await second)[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  const alone = await room.promise(5000, call);
  const abort = new AbortController();
  const lost = room.promise(1, { signal: abort.signal });
  abort.abort(new Error("gone"));
  await assert.rejects(lost, /gone/);
  alone[Symbol.dispose]();
});

test("what stays is refused with figures when there is no room for it in time", async () => {
  const mib = 2 ** 20;
  let held = 250 * mib;
  const large = { ...limit, bytes: 300 * mib };
  let reclaimed = 0;
  const reclaim = (): void => void (reclaimed += 1);
  const room = new MemoryHeadroom({ limit: large, heldBytes: () => held, reclaim });
  await room.claim(10 * mib, { what: "a shim", kept: 40 * mib, patienceMs: 0 }, call);
  assert.equal(reclaimed, 0);
  await assert.rejects(
    room.claim(10 * mib, { what: "a shim", kept: 31 * mib, patienceMs: 150 }, call),
    (error) =>
      isFault(error, "RESOURCE_EXHAUSTED") &&
      error.message ===
        'a shim is refused: the daemon is short of memory: it takes 10 MiB, and cgroup "/c" has 50 MiB left of 300 MiB, of which 31 MiB are kept for what runs; try again later, or allow it more',
  );
  assert.ok(reclaimed > 0);
  const later = room.claim(90 * mib, { what: "a shim" }, call);
  held = 200 * mib;
  await later;
  const all = room.claim(1, { what: "a shim", patienceMs: 0 }, call);
  await assert.rejects(all, /a shim is refused/);
});

test("without a limit there is always room", async () => {
  const room = new MemoryHeadroom({
    limit: { ...limit, cgroup: undefined },
    heldBytes: () => assert.fail("nobody is to be asked"),
  });
  await room.promise(1e12, call);
  await room.promise(1e12, call);
  await room.claim(1e12, { what: "a shim", patienceMs: 0 }, call);
});
