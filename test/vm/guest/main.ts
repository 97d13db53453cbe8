// SPDX-License-Identifier: Apache-2.0
// Runs in the virtual machine: installs Berth as deploy/README.md says, or its package, starts what the
// suites need, runs them, and writes the counts as its last line. A suite's pods are left running when the machine reboots:
// this program is then started again, and runs the rest.
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { nodeTestStep } from "../../../scripts/test/node-test-step.ts";
import { add, type Counts, describeCounts, none } from "../../../scripts/test/step.ts";
import { mirrorCritestRegistries } from "../../support/critest-images.ts";
import { startRegistry } from "../../support/registry.ts";
import { must, run } from "../../support/run.ts";
import { memory, packages, projectFolder, rebootSuite, type VmPlan } from "../plan.ts";
import { readmeSteps } from "./readme-steps.ts";

const startedAt = performance.now();
const say = (line: string): void => {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`vm: [${seconds.padStart(6)}] ${line}\n`);
};

let counts: Counts = none;
try {
  counts = existsSync(memory.counts) ? await rebooted() : await main();
  if (existsSync(memory.pods) && !existsSync(memory.counts)) {
    await writeFile(memory.counts, JSON.stringify(counts));
    say("the machine reboots");
    await must("systemctl", ["reboot"]);
    await new Promise(() => setTimeout(() => {}, 600_000));
  }
} catch (error) {
  counts = { ...none, failed: 1 };
  process.stdout.write(`${error instanceof Error ? error.stack : String(error)}\n`);
}
if (counts.failed > 0) await tellState();
process.stdout.write(`vm: ${describeCounts(counts)}\n`);

async function main(): Promise<Counts> {
  const plan = JSON.parse(
    await readFile(path.join(projectFolder, "vm/plan.json"), "utf8"),
  ) as VmPlan;
  await mkdir(path.dirname(memory.counts), { recursive: true });
  await mkdir("/etc/berthd/config.d", { recursive: true });
  if (plan.newerRunc !== "") {
    await mkdir(path.dirname(plan.newerRunc), { recursive: true });
    await symlink(path.join(projectFolder, "vm/newer-runc"), plan.newerRunc);
    await writeFile(
      "/etc/berthd/config.d/60-newer-runc.toml",
      `[runtime.handlers.newer]\nbinary_name = "${plan.newerRunc}/runc"\nsystemd_cgroup = true\n`,
    );
  }
  await writeFile(
    "/etc/berthd/config.d/50-hugepages.toml",
    "[cri]\ndisable_hugetlb_controller = false\n",
  );
  if (plan.sandbox !== "") {
    await writeFile("/etc/berthd/config.d/55-sandbox.toml", `[cri]\nsandbox = "${plan.sandbox}"\n`);
  }
  // critest loads its AppArmor profiles by it.
  await writeFile("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
  await using registry = await startRegistry("/srv/images");
  await mirrorCritestRegistries("/etc/berthd/certs.d", registry);
  say("the registry answers");
  if (plan.isPackaged) {
    await follow(
      `apt-get install -y --no-install-recommends ${path.join(projectFolder, "vm", packages.ours)}`,
    );
    await must("berthd", ["config", "check"], { timeoutMs: 120_000 });
    if (existsSync("/run/berthd/berthd.sock")) throw new Error("the package started the daemon");
    say("the package is installed");
  }
  for (const step of await readmeSteps(
    path.join(projectFolder, "deploy/README.md"),
    plan.isPackaged,
  )) {
    await follow(step);
    say(`done: ${step.split("\n").at(-1)}`);
  }
  process.env["BERTH_VM_REGISTRY"] = registry.host;
  if (plan.wholeCritest) process.env["BERTH_VM_CRITEST"] = "all";
  const all = ["!(package)", ...(plan.isPackaged ? [rebootSuite] : [])];
  const names = plan.only.length === 0 ? all : [...plan.only].sort(last);
  let sum = none;
  for (const name of names) sum = add(sum, await suites(name));
  return sum;
}

/** After the reboot. */
async function rebooted(): Promise<Counts> {
  await using registry = await startRegistry("/srv/images");
  process.env["BERTH_VM_REGISTRY"] = registry.host;
  const before = JSON.parse(await readFile(memory.counts, "utf8")) as Counts;
  return add(before, await suites("rebooted/*"));
}

async function suites(name: string): Promise<Counts> {
  return nodeTestStep({
    name: "virtual machine",
    group: "vm",
    globs: [`test/vm/suites/${name}.test.ts`],
    concurrency: 1,
    timeoutMs: 3_600_000,
    fileTimeoutMs: 3_600_000,
    tellEach: true,
  }).run();
}

/** The suite with the reboot comes last. */
function last(a: string, b: string): number {
  return Number(a === rebootSuite) - Number(b === rebootSuite);
}

/** Runs a step as it stands. What ends by SIGSEGV did so by the emulator's doing, and is run again. */
async function follow(step: string): Promise<void> {
  const shell = ["-euc", step];
  const { code, stdout, stderr } = await run("sh", shell, { timeoutMs: 240_000 });
  if (code === 139) {
    say(`ended by a segmentation fault, which is told of here, and run again: ${step}`);
    await must("sh", shell, { timeoutMs: 240_000 });
  } else if (code !== 0) {
    throw new Error(`exit ${code}: ${step}\n${stderr}${stdout}`);
  }
}

/** What somebody wants to read who was not there. */
async function tellState(): Promise<void> {
  for (const command of [
    "systemctl --no-pager --failed",
    "journalctl --no-pager -o cat -n 120 -u berthd",
    "dmesg | tail -n 40",
  ]) {
    const { stdout, stderr } = await run("sh", ["-c", command]);
    process.stdout.write(`-- ${command}\n${stdout}${stderr}`);
  }
}
