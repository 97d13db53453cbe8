// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { ContentStore } from "../../content/ports.ts";
import { OtherWriters } from "./other-writer.ts";

const call = { signal: new AbortController().signal };
const mib = 2 ** 20;

const writers: readonly { name: string; bytesPerSecond: number; windows: number }[] = [
  { name: "stands still", bytesPerSecond: 0, windows: 1 },
  { name: "trickles", bytesPerSecond: 1100, windows: 2 },
  { name: "is quick, but never through", bytesPerSecond: 2 * mib, windows: 60 },
];

for (const { name, bytesPerSecond, windows } of writers) {
  test(`a writer of the same that ${name} is waited for in bounds`, async (t) => {
    mock.timers.enable({ apis: ["setTimeout"] });
    t.after(() => mock.timers.reset());
    let offsetBytes = 0n;
    const { signal: released } = new AbortController();
    const content = { writing: () => ({ offsetBytes, released }) } as unknown as ContentStore;
    const answers: boolean[] = [];
    const waiting = new OtherWriters()
      .wait(content, "ns", "ref", call)
      .then((isFree) => answers.push(isFree));
    let waited = 0;
    for (; answers.length === 0 && waited < 100; waited += 1) {
      await turn();
      offsetBytes += BigInt(5 * bytesPerSecond);
      mock.timers.tick(5000);
      await turn();
    }
    assert.deepEqual([...answers, waited], [false, windows]);
    await waiting;
  });
}
