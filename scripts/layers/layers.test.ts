// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { layerFaults } from "./check-layers.ts";
import { importsOf } from "./imports.ts";
import type { Layer } from "./layers.ts";

const layer = (folder: string, ...may: string[]): Layer => ({ folder, holds: "", may });
const layers = [
  layer("cli", "oci"),
  layer("cri", "oci"),
  layer("oci"),
  layer("base"),
  layer("gen"),
];
const libraries = { ws: ["src/cli"] };

const cases: readonly [what: string, imports: Record<string, string[]>, faults: RegExp[]][] = [
  ["what the table allows", { "src/cri/a.ts": ["src/oci/b.ts", "src/base/c.ts", "zod"] }, []],
  ["a folder that is not allowed", { "src/cri/a.ts": ["src/cli/b.ts"] }, [/cri may not know cli/]],
  ["base knows nobody", { "src/base/a.ts": ["src/oci/b.ts"] }, [/base may not know oci/]],
  ["nor what is generated", { "src/base/a.ts": ["src/gen/b.ts"] }, [/base may not know gen/]],
  ["a folder without a row", { "src/new/a.ts": [] }, [/src\/new is not in the table/]],
  ["what starts the daemon", { "src/cri/a.ts": ["src/daemon.ts"] }, [/starts the daemon/]],
  ["the CLI starts it", { "src/cli/a.ts": ["src/daemon.ts"] }, []],
  ["what starts it may know all", { "src/daemon.ts": ["src/cri/a.ts"] }, []],
  ["a library at home", { "src/cli/x/a.ts": ["ws"] }, []],
  ["a library elsewhere", { "src/cri/a.ts": ["ws"] }, [/ws, which belongs in src\/cli/]],
  [
    "a circle of two folders, by different files",
    { "src/cri/x/a.ts": ["src/cri/y/b.ts"], "src/cri/y/c.ts": ["src/cri/x/d.ts"] },
    [
      /each other: src\/cri\/x\/a\.ts → src\/cri\/y\/b\.ts; src\/cri\/y\/c\.ts → src\/cri\/x\/d\.ts/,
    ],
  ],
  [
    "a circle of three",
    {
      "src/cri/x/a.ts": ["src/cri/y/a.ts"],
      "src/cri/y/a.ts": ["src/cri/z/deep/a.ts"],
      "src/cri/z/b.ts": ["src/cri/x/b.ts"],
    },
    [/each other/],
  ],
  [
    "a folder and what lies above it",
    { "src/cri/x/a.ts": ["src/cri/ports.ts"], "src/cri/ports.ts": ["src/cri/x/b.ts"] },
    [],
  ],
];

for (const [what, imports, faults] of cases) {
  test(`layers: ${what}`, () => {
    const modules = Object.entries(imports).map(([file, named]) => ({ file, imports: named }));
    const found = layerFaults(modules, { layers, libraries });
    assert.equal(found.length, faults.length, found.join("\n"));
    for (const [at, fault] of faults.entries()) assert.match(found[at] ?? "", fault);
  });
}

test("layers: a table that leads upwards is refused", () => {
  const upward = [layer("oci", "cri"), layer("cri", "oci")];
  const found = layerFaults([], { layers: upward, libraries });
  assert.deepEqual(found, ["the table lets cri import oci, which does not stand below it"]);
});

test("layers: every way to name a module is seen", () => {
  const text = `
    import type { A } from "../oci/a.ts";
    import "./b.ts";
    export { c } from "./c.ts";
    export * from "./d.ts";
    const e = await import("./e.ts");
    const f = new URL("./f.ts", import.meta.url);
    import { g } from "@grpc/grpc-js/x";
    import path from "node:path";
  `;
  assert.deepEqual(importsOf("src/cri/x.ts", text).toSorted(), [
    "@grpc/grpc-js",
    ...["b", "c", "d", "e", "f"].map((name) => `src/cri/${name}.ts`),
    "src/oci/a.ts",
  ]);
});
