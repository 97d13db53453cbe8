// SPDX-License-Identifier: Apache-2.0
// critest on what is shipped: the package's bundles and its Node, and none of the checkout's sources.
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { type CritestBed, openCritestBed } from "../support/critest-bed.ts";
import { runEverything } from "../support/critest-everything.ts";
import { toolOrReason } from "../support/go-tools.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { must } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { buildPackage } from "./build-package.ts";

const tools = [await toolOrReason("critest"), await toolOrReason("ginkgo")];
const skip =
  lacking(...podPrograms, "apt-get", "dpkg-deb") || tools.find((tool) => tool.skip)?.skip || false;

suite("critest on the package", { skip }, () => {
  let home: Scratch;
  let bed: CritestBed;
  before(async () => {
    home = await scratch({ prefix: "package" });
    const { archive } = await buildPackage(await home.folder("built"));
    const root = await home.folder("root");
    await must("tar", ["-C", root, "--zstd", "-xf", archive]);
    bed = await openCritestBed({ programs: path.join(root, "usr/bin") });
  });
  after(async () => {
    await bed?.finish();
    await home?.[Symbol.asyncDispose]();
  });

  test("everything, four specs at once", async (t) => {
    await runEverything(t, bed, "the package");
  });
});
