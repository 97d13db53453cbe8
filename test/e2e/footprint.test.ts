// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { threadsOf } from "../support/processes.ts";
import { openTestbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

/** The daemon's own threads, without those of Node, V8 and libuv. */
function ownThreads(pid: number): string[] {
  const names = threadsOf(pid).map(({ name }) => name);
  return names.filter((name) => /^(?:berth-|metadata)/.test(name)).sort();
}

suite("what an idle daemon takes", { skip: lacking(...podPrograms) }, () => {
  test("threads are there when they are wanted: without pods only the database's", async () => {
    const bed = await openTestbed();
    try {
      const { daemon, cri } = bed;
      await daemon.stop();
      await daemon.start();
      // What the daemon before has left to remove has a thread until it is gone.
      await until("only the database's is left", () => {
        assert.deepEqual(ownThreads(daemon.pid()), ["metadata"]);
        return true;
      });
      const pod = await cri.runPod();
      // Both, so that no container waits for that of logs.
      await until("the threads of pods", () => {
        const threads = ownThreads(daemon.pid());
        return threads.includes("berth-netns") && threads.includes("berth-logs");
      });
      await cri.removePod(pod.id);
    } finally {
      await bed.finish();
    }
  });
});
