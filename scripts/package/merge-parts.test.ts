// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { build } from "esbuild";
import { must } from "../../test/support/run.ts";
import { scratch } from "../../test/support/scratch.ts";
import { mergeParts } from "./merge-parts.ts";

/** `shared` and `other` become files of their own, which export the same name; `late` has both in common with the others. */
const sources = {
  "entry.js": `
    import { count } from "./shared.js";
    console.log("entry", count());
    const { serve } = await import("./serve.js");
    console.log(await serve());`,
  "shared.js": `let n = 0; export function count() { return ++n; }`,
  "other.js": `let n = 10; export { next as count }; function next() { return ++n; }`,
  "serve.js": `
    import { count } from "./shared.js";
    import { count as other } from "./other.js";
    export async function serve() {
      const late = await import("./late.js");
      return ["serve", count(), other(), ...late.counts()].join(" ");
    }`,
  "late.js": `
    import { count } from "./shared.js";
    import { count as other } from "./other.js";
    export function counts() { return [count(), other()]; }`,
};

test("modules that are merged with what they need are there once, for late ones too", async () => {
  await using home = await scratch({ prefix: "merge" });
  for (const [name, text] of Object.entries(sources)) {
    await writeFile(path.join(home.path, name), text);
  }
  const { outputFiles, metafile } = await build({
    absWorkingDir: home.path,
    entryPoints: ["entry.js"],
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    outdir: "out",
    chunkNames: "part-[hash]",
    write: false,
    metafile: true,
  });
  const files = new Map(outputFiles.map(({ path: file, text }) => [path.basename(file), text]));
  const merged = await mergeParts({ files, outputs: metafile.outputs }, "entry.js", [
    { from: "entry.js", name: "merged-entry" },
    { from: "serve.js", name: "merged-serve" },
  ]);
  // The fourth is the late module.
  assert.equal(merged.size, 4, [...merged.keys()].join(", "));
  assert.ok(merged.size < files.size, [...files.keys()].join(", "));
  const out = path.join(home.path, "merged");
  await mkdir(out);
  await writeFile(path.join(out, "package.json"), '{ "type": "module" }');
  for (const [name, text] of merged) await writeFile(path.join(out, name), text);
  const said = await must(process.execPath, [path.join(out, "entry.js")]);
  assert.equal(said, "entry 1\nserve 2 11 3 12\n");
});
