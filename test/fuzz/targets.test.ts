// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { removeFolderSync } from "../../src/base/remove-folder.ts";
import { mutate } from "./engine/mutate.ts";
import { Random } from "./engine/random.ts";
import {
  corpusNames,
  firstInputs,
  loadTarget,
  targetNames,
  usualMaxBytes,
} from "./engine/targets.ts";

// The fuzzer's targets over what is known, and a few changes of it: `npm run fuzz` does the rest.

const mutations = 300;
/** For one target; slow ones get fewer changes. */
const budgetMs = 300;

const root = path.resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(path.join(tmpdir(), "berth-fuzz-"));
const before = process.cwd();
process.chdir(folder);
after(() => {
  process.chdir(before);
  removeFolderSync(folder);
});

for (const name of targetNames()) {
  test(`what must hold of ${name} holds for its corpus and changes of it`, async () => {
    const target = await loadTarget(name);
    assert.equal(target.name, name);
    const missing = target.parses.filter((file) => !existsSync(path.join(root, file)));
    assert.deepEqual(missing, [], "what it says that it parses");
    const inputs = await firstInputs(target);
    assert.ok(inputs.length > 0, "it has first inputs");
    for (const [at, input] of [Buffer.alloc(0), ...inputs].entries()) {
      await holds(
        () => target.run(Buffer.from(input)),
        `first input ${at} (${corpusNames(name)[at - 1]})`,
      );
    }
    const random = new Random(1, name);
    const any = (): Buffer => random.pick(inputs) ?? Buffer.alloc(0);
    const maxBytes = target.maxBytes ?? usualMaxBytes;
    const words = target.dictionary ?? [];
    const until = performance.now() + budgetMs;
    for (let done = 0; done < mutations && performance.now() < until; done += 1) {
      const input = mutate(any(), { random, maxBytes, words, other: any, pairs: [] });
      await holds(() => target.run(Buffer.from(input)), input.toString("base64"));
    }
  });
}

async function holds(run: () => void | Promise<void>, what: string): Promise<void> {
  try {
    await run();
  } catch (error) {
    throw new Error(`it does not hold for ${what}`, { cause: error });
  }
}
