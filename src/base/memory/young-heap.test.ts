// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";

const module = path.join(import.meta.dirname, "young-heap.ts");
/** Two halves of 4 MB, and some pages of a quarter of a megabyte. V8 frees those in a thread of its own, so it is waited for. */
const mostBytes = 12 * 2 ** 20;

test("what the start has for young objects is given back, and does not come again", () => {
  const program = `
    import v8 from "node:v8";
    import { endYoungOfStart } from ${JSON.stringify(module)};
    const young = () => v8.getHeapSpaceStatistics().find((it) => it.space_name === "new_space").space_size;
    const settled = async () => {
      const end = performance.now() + 20_000;
      while (young() >= ${mostBytes} && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return young();
    };
    const work = () => {
      let kept = [];
      for (let i = 0; i < 400_000; i += 1) {
        kept.push({ i, list: [i] });
        if (kept.length > 60_000) kept = [];
      }
      return young();
    };
    const start = work();
    endYoungOfStart();
    const later = [await settled()];
    for (let round = 0; round < 2; round += 1) {
      work();
      later.push(await settled());
    }
    console.log(JSON.stringify([start, ...later]));`;
  const flags = ["--max-semi-space-size=16", "--min-semi-space-size=4"];
  flags.push("--disable-warning=ExperimentalWarning");
  const argv = [...flags, "--input-type=module", "-e", program];
  const text = execFileSync(process.execPath, argv, { encoding: "utf8" });
  const [start = 0, ...later] = JSON.parse(text) as number[];
  assert.ok(start > mostBytes, `${start}`);
  assert.equal(later.length, 3);
  for (const bytes of later) assert.ok(bytes < mostBytes, text);
});
