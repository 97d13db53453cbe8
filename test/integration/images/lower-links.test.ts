// SPDX-License-Identifier: Apache-2.0
// Hard links to the layers below, by what they may cost.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { makeLowerLinks } from "../../../src/images/unpack/lower-links.ts";
import { scratch } from "../../support/scratch.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";

test("hard links copy no more from the layers below than their layer may take", {
  skip,
}, async () => {
  await using home = await scratch({ prefix: "lower-links" });
  const [layer, lower] = [await home.folder("layer"), await home.folder("lower")];
  await mkdir(path.join(lower, "d"));
  for (const name of ["x", "y"]) await writeFile(path.join(lower, "d", name), "x".repeat(5000));
  const links = ["x", "y"].map((name) => ({ at: `/${name}`, target: `/d/${name}` }));
  let steps = 0;
  const step = () => {
    steps += 1;
  };
  assert.throws(
    () => makeLowerLinks({ layer, lowers: [lower] }, links, { step, mostBytes: 9999 }),
    {
      code: "RESOURCE_EXHAUSTED",
      message: "layer is too large: its hard links copy more than 9999 bytes from the layers below",
    },
  );
  assert.ok(steps > 4, String(steps));
  const other = await home.folder("other");
  const watch = { step, mostBytes: 10_000 };
  assert.equal(makeLowerLinks({ layer: other, lowers: [lower] }, links, watch).inodes, 3);
});
