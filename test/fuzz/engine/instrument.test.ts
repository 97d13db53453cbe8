// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Features, takePairs, watchPairs } from "./coverage.ts";
import { instrument } from "./instrument.ts";

const runtime = new URL("coverage.ts", import.meta.url).href;
let nextPlace = 60_000;

/** Loads code as the fuzzer does; it exports `f`. */
async function load(
  code: string,
): Promise<{ f: (...values: unknown[]) => unknown; places: number }> {
  const made = instrument(code, { place: nextPlace, comparison: 16_000, runtime });
  nextPlace += made.places;
  const url = `data:text/javascript,${encodeURIComponent(made.code)}`;
  const { f } = (await import(url)) as { f: (...values: unknown[]) => unknown };
  return { f, places: made.places };
}

const cases: readonly { readonly code: string; readonly calls: readonly [unknown[], unknown][] }[] =
  [
    { code: "(a) => ({ a })", calls: [[[1], { a: 1 }]] },
    {
      code: "(a, b) => (a === 1 ? b !== 2 : a ?? b) && !0",
      calls: [
        [[1, 2], false],
        [[1, 3], true],
        [[null, 0], 0],
      ],
    },
    {
      code: "function (a) { if (a < 3) if (a === 1) return 'one'; else return 'few'; else; for (const x of [a]) while (a > 5) a--; return a }",
      calls: [
        [[1], "one"],
        [[2], "few"],
        [[4], 4],
        [[9], 5],
      ],
    },
    {
      code: "function (a) { switch (a) { case 1: case 2: a += 1; default: return a } }",
      calls: [
        [[1], 2],
        [[3], 3],
      ],
    },
    {
      code: "function (o) { let n = 0; do n++; while (n < o.length && o[n] !== 'x'); try { o() } catch { n = -n } return n }",
      calls: [
        [["aax"], -2],
        [[""], -1],
      ],
    },
    { code: "function (a) { return a.b?.c === undefined || a.b.c() }", calls: [[[{}], true]] },
    {
      code: "(() => { class A { #x = 1; has(o) { return #x in o && this.#x >= 1 } } return (o) => new A().has(o ?? new A()) })()",
      calls: [
        [[undefined], true],
        [[{}], false],
      ],
    },
    { code: "function* (n) { for (let i = 0; i < n; i++) yield i === 1 }", calls: [] },
  ];

for (const { code, calls } of cases) {
  test(`instrumented code does the same: ${code.slice(0, 60)}`, async () => {
    const { f, places } = await load(`export const f = ${code};`);
    assert.ok(places > 0);
    for (const [values, result] of calls) assert.deepEqual(f(...values), result);
  });
}

test("each branch is a feature of its own, and so is how often a loop runs", async () => {
  const { f } = await load("export const f = (a) => { if (a > 1) { for (; a > 2; a--); } };");
  const features = new Features();
  const found = [1, 1, 2, 2, 3, 4, 4, 60, 61].map((value) => {
    features.begin();
    f(value);
    return features.take(9).filter((feature) => feature >= 0).length > 0;
  });
  assert.deepEqual(found, [true, false, true, false, true, true, false, true, false]);
});

test("a shorter input with the same features counts as new", async () => {
  const { f } = await load("export const f = () => 1;");
  const features = new Features();
  const found = [9, 9, 8, 9].map((length) => {
    features.begin();
    f();
    return features.take(length).length;
  });
  assert.deepEqual(found, [1, 0, 1, 0]);
});

test("what differs in a comparison is told, and closer is new", async () => {
  const { f } = await load("export const f = (a) => a === 'secret';");
  const features = new Features();
  const news = ["x", "y", "sex", "secrex"].map((text) => {
    features.begin();
    f(text);
    return features.take(1).length;
  });
  assert.deepEqual(news, [2, 0, 1, 1]);
  watchPairs();
  f("mine");
  assert.deepEqual(takePairs(), [["mine", "secret"]]);
});
