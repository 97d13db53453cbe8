// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import path from "node:path";
import { must } from "../run.ts";
import { pullRecipe, shellLayer } from "../test-images.ts";
import type { Testbed } from "../testbed.ts";

/** Builds hostile.c without any library of the host and pulls an image of it beside busybox; answers its name. */
export async function pullHostileImage(bed: Testbed): Promise<string> {
  const program = path.join(bed.folder, "hostile");
  const source = path.join(import.meta.dirname, "hostile.c");
  await must("gcc", ["-O1", "-static", "-o", program, source]);
  const content = await readFile(program);
  return pullRecipe(bed, "hostile", {
    config: { Env: ["PATH=/bin"] },
    layers: [await shellLayer(), [{ path: "bin/hostile", content, mode: 0o755 }]],
  });
}
