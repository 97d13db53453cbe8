// SPDX-License-Identifier: Apache-2.0
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { type Counts, none, type Step } from "../../../scripts/test/step.ts";
import { buildPackage } from "../../package/build-package.ts";
import { otherVersion } from "../../package/other-version.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { findProgram } from "../../support/lacking.ts";
import { newerRuncOrReason } from "../../support/newer-runc.ts";
import { scratch } from "../../support/scratch.ts";
import { lastLine, packages, type VmPlan } from "../plan.ts";
import { type BaseImage, baseImage } from "./base-image.ts";
import { imagesDisk } from "./images-disk.ts";
import { runMachine } from "./machine.ts";
import { makeProjectDisk } from "./project-disk.ts";

const suites = path.resolve(import.meta.dirname, "../suites");
const programs = [
  "qemu-system-x86_64",
  "mmdebstrap",
  "mkfs.ext4",
  "skopeo",
  "docker-registry",
  "busybox",
  "apt-get",
];

/**
 * The suites of test/vm/suites in a virtual machine with systemd, cgroup v2 and AppArmor.
 * With BERTH_VM_PACKAGE=1 they run on Berth's package in place of the checkout, and one more upgrades it and reboots.
 * $BERTH_VM_ONLY names suites, by commas; BERTH_VM_CRITEST=all runs the whole of critest there, which
 * takes hours rather than minutes. The machine ends 30 minutes after its start, with the package, which it installs four
 * times, 60, or $BERTH_VM_MINUTES.
 */
export const vmStep: Step = { name: "virtual machine", group: "vm", run: runVm };

async function runVm(): Promise<Counts> {
  const say = (line: string): void => void process.stdout.write(`    ${line}\n`);
  const lacking = whatIsLacking();
  if (lacking !== undefined) return skipAll(`needs ${lacking}`, say);
  let base: BaseImage;
  try {
    base = await baseImage(say);
  } catch (error) {
    return skipAll(`no image: ${error instanceof Error ? error.message : String(error)}`, say);
  }
  const wholeCritest = process.env["BERTH_VM_CRITEST"] === "all";
  const isPackaged = process.env["BERTH_VM_PACKAGE"] === "1";
  const usualMinutes = wholeCritest ? 300 : isPackaged ? 60 : 30;
  const minutes = Number(process.env["BERTH_VM_MINUTES"] ?? usualMinutes);
  await using home = await scratch({ prefix: "vm" });
  const extra: Record<string, string> = {};
  const critest = await toolOrReason("critest");
  if (critest.skip === false) extra["critest"] = critest.path;
  else say(critest.skip);
  const kubelet = await toolOrReason("kubelet");
  if (kubelet.skip === false) extra["kubelet"] = kubelet.path;
  else say(kubelet.skip);
  const newer = await newerRuncOrReason();
  if (newer.skip === false) extra["newer-runc"] = newer.folder;
  else say(newer.skip);
  const plan: VmPlan = {
    only: (process.env["BERTH_VM_ONLY"] ?? "").split(",").filter((name) => name !== ""),
    wholeCritest,
    newerRunc: newer.skip === false ? newer.folder : "",
    isPackaged,
    sandbox: process.env["BERTH_TEST_SANDBOX"] ?? "",
  };
  if (plan.isPackaged) {
    const { deb } = await buildPackage(await home.folder("package"));
    extra[packages.ours] = deb;
    extra[packages.newer] = await otherVersion(deb, "9.9.9", await home.folder("newer"));
  }
  const project = path.join(home.path, "project.img");
  const images = await imagesDisk();
  await makeProjectDisk({ staging: await home.folder("project"), disk: project, plan, extra });
  let counts: Counts = none;
  await runMachine({
    base,
    disks: [project, images],
    console: path.join(home.path, "console.log"),
    bootMs: 600_000,
    totalMs: minutes * 60_000,
    onLine: (line) => {
      say(line);
      const [, ...numbers] = lastLine.exec(line) ?? [];
      const [passed, failed, skipped] = numbers.map(Number);
      if (passed === undefined || failed === undefined || skipped === undefined) return false;
      counts = { passed, failed, skipped };
      return true;
    },
  });
  return counts;
}

function whatIsLacking(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return "a Linux host on x64";
  if (process.getuid?.() !== 0) return "root";
  const missing = programs.filter((name) => findProgram(name) === undefined);
  return missing.length === 0 ? undefined : missing.join(", ");
}

/** Counts the tests that would have run, as near as their files tell. */
function skipAll(reason: string, say: (line: string) => void): Counts {
  const skipped = globSync("*.test.ts", { cwd: suites })
    .map((name) => readFileSync(path.join(suites, name), "utf8"))
    .reduce((sum, text) => sum + [...text.matchAll(/^\s*test\(/gm)].length, 0);
  say(`skipped ${skipped}: ${reason}`);
  return { ...none, skipped };
}
