// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { beforeEach, suite, test } from "node:test";
import { OomLedger } from "./oom-ledger.ts";

suite("OOM kills", () => {
  let counters: Map<string, bigint>;
  let ledger: OomLedger;
  const call = { signal: new AbortController().signal };
  /** As the kernel counts: in the cgroup and in the one above. */
  const kill = (name: string): void => {
    for (const folder of [`/pod/${name}`, "/pod"]) {
      counters.set(folder, (counters.get(folder) ?? 0n) + 1n);
    }
  };
  const make = (name: string) => {
    counters.set(`/pod/${name}`, 0n);
    return ledger.watch(`/pod/${name}`, call);
  };
  const vanish = (name: string): void => void counters.delete(`/pod/${name}`);
  beforeEach(() => {
    counters = new Map([["/pod", 5n]]);
    ledger = new OomLedger((folder) => Promise.resolve(counters.get(folder)));
  });

  test("are read in the container's own cgroup while it is there", async () => {
    const watch = await make("a");
    kill("a");
    assert.equal(await watch.kills(137), 1);
  });

  test("are found in the cgroup above when the own one is gone", async () => {
    const watch = await make("a");
    kill("a");
    vanish("a");
    assert.equal(await watch.kills(137), 1);
  });

  test("of before, of others and of other containers' children are not this one's", async () => {
    const other = await make("other");
    const [first, second] = [await make("first"), await make("second")];
    kill("other"); // a child: the container goes on
    kill("first");
    vanish("first");
    assert.equal(await first.kills(1), 1, "a shell whose child was killed");
    vanish("second");
    assert.equal(await second.kills(137), 0, "stopped by a signal");
    assert.equal(await other.kills(0), 1);
    const last = await make("last");
    vanish("last");
    assert.equal(await last.kills(137), 0);
  });

  test("go to the one that was killed when two end at once", async () => {
    const [failed, killed] = [await make("failed"), await make("killed")];
    kill("killed");
    vanish("failed");
    vanish("killed");
    assert.deepEqual(await Promise.all([failed.kills(1), killed.kills(137)]), [0, 1]);
  });

  test("go to both when both were killed at once", async () => {
    const watches = [await make("a"), await make("b")];
    kill("a");
    kill("b");
    vanish("a");
    vanish("b");
    assert.deepEqual(await Promise.all(watches.map((watch) => watch.kills(137))), [1, 1]);
  });

  test("of a container found running are told from those it survived", async () => {
    counters.set("/pod/old", 2n);
    const watch = await ledger.watch("/pod/old", call);
    kill("old");
    vanish("old");
    // Those of before are its own as well.
    assert.equal(await watch.kills(137), 3);
  });

  test("are none when nothing counts, and a container that never ran is forgotten", async () => {
    counters.clear();
    const watch = await ledger.watch("/gone/a", call);
    assert.equal(await watch.kills(137), 0);
    const never = await make("never");
    never.forget();
    const next = await make("next");
    vanish("next");
    assert.equal(await next.kills(137), 0);
  });

  test("of a start that is given up meanwhile nobody is kept waiting, and nothing is kept", async () => {
    const gate = Promise.withResolvers<void>();
    const slow = new OomLedger(async (folder) => {
      await gate.promise;
      return counters.get(folder);
    });
    const leaving = new AbortController();
    const first = assert.rejects(slow.watch("/pod/first", leaving), { name: "AbortError" });
    const second = assert.rejects(slow.watch("/pod/second", leaving), { name: "AbortError" });
    leaving.abort();
    await second; // which waited for its turn
    gate.resolve();
    await first;
    // Were the first still a member, a kill that it never had would be kept for it.
    counters.set("/pod/last", 0n);
    const last = await slow.watch("/pod/last", call);
    for (const folder of ["/pod", "/pod/last"]) {
      counters.set(folder, (counters.get(folder) ?? 0n) + 1n);
    }
    vanish("last");
    assert.equal(await last.kills(1), 1);
  });
});
