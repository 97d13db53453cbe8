// SPDX-License-Identifier: Apache-2.0
// Kubernetes' own tests of a node (test/e2e_node, NodeConformance) on Berth, without a network. What is left out, and why,
// is in test/support/node-conformance/left-out.json. BERTH_TEST_NODE_FOCUS runs the specs with that in their names.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { berthdSocket } from "../support/cluster/berthd.ts";
import { type GoToolName, toolOrReason } from "../support/go-tools.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import {
  type ConformanceBed,
  nodeAddress,
  openConformanceBed,
  readReport,
} from "../support/node-conformance/bed.ts";

interface LeftOut {
  readonly specs: string;
  readonly why: string;
  /** A variable of the environment that has them in all the same. */
  readonly unless?: string;
}

const list = path.resolve(import.meta.dirname, "../support/node-conformance/left-out.json");
const kept = path.resolve(import.meta.dirname, "../../build/node-conformance");
const limit = process.env["BERTH_TEST_NODE_LIMIT"] ?? "150m";

const programs: Partial<Record<GoToolName, string>> = {};

async function missing(): Promise<string | false> {
  const lack = lacking(...podPrograms, "crun", "unshare", "nsenter", "bash", "curl");
  if (lack !== false) return lack;
  for (const name of ["kubelet", "e2e-node", "agnhost", "nnp", "ginkgo"] as const) {
    const tool = await toolOrReason(name);
    if (tool.skip !== false) return tool.skip;
    programs[name] = tool.path;
  }
  return false;
}

suite("Kubernetes' NodeConformance", { skip: await missing() }, () => {
  let bed: ConformanceBed;
  before(async () => {
    bed = await openConformanceBed({
      kubelet: programs.kubelet ?? "",
      suite: programs["e2e-node"] ?? "",
      agnhost: programs.agnhost ?? "",
      nnp: programs.nnp ?? "",
    });
  });
  after(() => bed?.[Symbol.asyncDispose]());

  test("holds, but for what is listed", async (t) => {
    const all = JSON.parse(await readFile(list, "utf8")) as readonly LeftOut[];
    const leftOut = all.filter(({ unless = "" }) => process.env[unless] === undefined);
    const system = path.join(bed.folder, "system.yaml");
    await writeFile(system, "os: Linux\nkernelSpec:\n  versions:\n  - '.*'\n");
    const focus = process.env["BERTH_TEST_NODE_FOCUS"];
    const nodeConformance = String.raw`\[NodeConformance\]`;
    const [first = "", ...rest] = bed.box.inside([
      // The folder of the box, and not that of the machine.
      "sh",
      "-c",
      'cd "$0" && exec "$@"',
      bed.folder,
      programs.ginkgo ?? "",
      "--procs=6",
      "-v",
      "--no-color",
      "--seed=1",
      `--timeout=${limit}`,
      `--focus=${focus === undefined ? nodeConformance : `${focus}.*${nodeConformance}`}`,
      ...leftOut.map(({ specs }) => `--skip=${specs}`),
      "--json-report=report.json",
      `--output-dir=${bed.folder}`,
      path.join(bed.folder, "e2e_node.test"),
      "--",
      "--node-name=e2e-node",
      "--prepull-images=false",
      `--container-runtime-endpoint=unix://${berthdSocket}`,
      `--kubelet-config-file=${bed.kubeletConfig}`,
      `--system-spec-file=${system}`,
      `--kubelet-flags=--system-cgroups= --kubelet-cgroups= --runtime-cgroups= --node-ip=${nodeAddress}`,
      `--report-dir=${bed.folder}/report`,
    ]);
    await mkdir(kept, { recursive: true });
    const output = openSync(path.join(kept, "output.log"), "w");
    const env = { PATH: bed.path, HOME: "/root" };
    const child = spawn(first, rest, { stdio: ["ignore", output, output], env, cwd: "/" });
    closeSync(output);
    await once(child, "exit");
    await copyFile(path.join(bed.folder, "report.json"), path.join(kept, "report.json"));
    const specs = await readReport(path.join(bed.folder, "report.json"));
    const failed = specs.filter(({ State }) => !["passed", "skipped", "pending"].includes(State));
    const passed = specs.filter(
      ({ State, LeafNodeType }) => State === "passed" && LeafNodeType === "It",
    );
    t.diagnostic(`${passed.length} specs passed; ${kept} has what they said`);
    assert.deepEqual(
      failed.map(({ ContainerHierarchyTexts, LeafNodeText, Failure }) => {
        const name = [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(" ");
        return `${name}: ${Failure?.Message?.slice(0, 300) ?? ""}`;
      }),
      [],
    );
    assert.ok(passed.length > 0, "none has run");
  });
});
