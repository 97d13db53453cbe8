// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";

const module = path.join(import.meta.dirname, "thread-heap.ts");

test("a thread has the heap that it is given, whatever the daemon's own is, which stays", () => {
  const program = `
    import v8 from "node:v8";
    import { Worker } from "node:worker_threads";
    import { threadHeap } from ${JSON.stringify(module)};
    const tell = 'import v8 from "node:v8"; import { parentPort } from "node:worker_threads";' +
      'parentPort.postMessage(v8.getHeapStatistics().heap_size_limit)';
    const worker = new Worker(tell, { eval: true, resourceLimits: threadHeap(24) });
    worker.on("message", (bytes) => {
      console.log(JSON.stringify([v8.getHeapStatistics().heap_size_limit, bytes]));
    });`;
  const flags = ["--max-semi-space-size=16", "--max-old-space-size=95", "--input-type=module"];
  const text = execFileSync(process.execPath, [...flags, "-e", program], { encoding: "utf8" });
  const [main = 0, thread = 0] = (JSON.parse(text) as number[]).map((bytes) => bytes / 2 ** 20);
  // V8 adds the young generation.
  assert.ok(main >= 95 + 32 && main < 95 + 50, `${main}`);
  assert.ok(thread >= 24 && thread < 29, `${thread}`);
});
