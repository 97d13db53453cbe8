// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { scratch } from "../../test/support/scratch.ts";

const keeper = pathToFileURL(path.join(import.meta.dirname, "kept-code.ts")).href;
/** A function that V8 compiles when it is first called. */
const script = (answer: string): string => `(function(module,require,importMeta){
  const late = () => import("./late.mjs");
  function called(a) { return require("./beside.mjs").value + a + ${answer}; }
  module.exports = { called, late, os: require("node:os").EOL, dirname: importMeta.dirname };
})`;

/** A program that runs the script and keeps what it compiled; answers what it says of it. */
function program(folder: string, { keeps = true, calls = true } = {}): Record<string, unknown> {
  const text = `
    import { keepCode, lacksKeptCode, runKept } from "${keeper}";
    import vm from "node:vm";
    const { Script } = vm;
    const beside = { value: 1 };
    const it = runKept("some-script.js", import.meta, { "./beside.mjs": beside });
    const late = (await it.late()).default;
    const sum = ${calls} ? it.called(2) : undefined;
    const lacks = lacksKeptCode();
    if (${keeps}) await keepCode();
    console.log(JSON.stringify({ sum, late, os: it.os, dirname: it.dirname, lacks }));`;
  writeFileSync(path.join(folder, "program.mjs"), text);
  writeFileSync(path.join(folder, "late.mjs"), "export default 'late';");
  const env = { ...process.env, NODE_COMPILE_CACHE: path.join(folder, "cache") };
  const out = execFileSync(process.execPath, [path.join(folder, "program.mjs")], {
    encoding: "utf8",
    env,
    timeout: 60_000,
  });
  return JSON.parse(out) as Record<string, unknown>;
}

function kept(folder: string): { file: string; bytes: Buffer } {
  const cache = path.join(folder, "cache");
  const all = readdirSync(cache, { recursive: true, encoding: "utf8" });
  const [name = "", ...others] = all.filter((it) => it.endsWith(".code"));
  assert.deepEqual(others, []);
  const file = path.join(cache, name);
  return { file, bytes: readFileSync(file) };
}

describe("a script whose code is kept", () => {
  it("answers what it exports, and may import what lies beside it", async () => {
    await using folder = await scratch();
    writeFileSync(path.join(folder.path, "some-script.js"), script("10"));
    const expected = { sum: 13, late: "late", os: "\n", dirname: folder.path };
    assert.deepEqual(program(folder.path), { ...expected, lacks: true });
    assert.deepEqual(program(folder.path), { ...expected, lacks: false });
  });

  it("has what was called kept, and is not written again for nothing", async () => {
    await using folder = await scratch();
    writeFileSync(path.join(folder.path, "some-script.js"), script("10"));
    program(folder.path, { calls: false });
    const little = kept(folder.path).bytes;
    program(folder.path);
    const more = kept(folder.path).bytes;
    assert.ok(more.length > little.length, `${little.length}, ${more.length}`);
    program(folder.path, { calls: false });
    assert.deepEqual(kept(folder.path).bytes, more);
  });

  it("lacks none where none can be kept", async () => {
    await using folder = await scratch();
    writeFileSync(path.join(folder.path, "some-script.js"), script("10"));
    writeFileSync(path.join(folder.path, "cache"), "no folder");
    assert.equal(program(folder.path)["lacks"], false);
  });

  it("does not run the code of another text", async () => {
    await using folder = await scratch();
    writeFileSync(path.join(folder.path, "some-script.js"), script("10"));
    program(folder.path);
    writeFileSync(path.join(folder.path, "some-script.js"), script("20"));
    assert.equal(program(folder.path)["sum"], 23);
  });

  it("does not run damaged code, and replaces it", async () => {
    await using folder = await scratch();
    writeFileSync(path.join(folder.path, "some-script.js"), script("10"));
    program(folder.path);
    const { file, bytes } = kept(folder.path);
    for (const damaged of [
      Buffer.alloc(0),
      bytes.subarray(0, 5),
      bytes.subarray(0, bytes.length - 100),
      Buffer.concat([bytes.subarray(0, 200), Buffer.alloc(bytes.length - 200)]),
    ]) {
      writeFileSync(file, damaged);
      const { sum, lacks } = program(folder.path);
      assert.deepEqual({ sum, lacks }, { sum: 13, lacks: true });
      assert.equal(program(folder.path)["lacks"], false);
    }
  });
});
