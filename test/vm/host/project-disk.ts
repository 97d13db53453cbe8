// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { must } from "../../support/run.ts";
import { projectFolder, type VmPlan } from "../plan.ts";
import { makeDisk } from "./disk.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const parts = ["bin", "deploy", "proto", "src", "test", "scripts", "package.json", "README.md"];

export interface ProjectDiskOptions {
  /** An empty folder for what goes onto the disk. */
  readonly staging: string;
  readonly disk: string;
  readonly plan: VmPlan;
  /** Programs and folders that go along, by their names below `vm/`. */
  readonly extra: Readonly<Record<string, string>>;
}

/** The project as it is installed on a node, and what the tests need beside it, for /opt/berth. */
export async function makeProjectDisk(options: ProjectDiskOptions): Promise<void> {
  const { staging, disk, plan, extra } = options;
  for (const part of parts) await copy(path.join(root, part), path.join(staging, part));
  for (const place of await productionPackages()) {
    await copy(path.join(root, place), path.join(staging, place));
  }
  await copy(path.join(root, "build/pause-amd64"), path.join(staging, "build/pause-amd64"));
  await mkdir(path.join(staging, "vm"));
  await writeFile(path.join(staging, "vm/plan.json"), JSON.stringify(plan));
  for (const [name, file] of Object.entries(extra)) {
    await copy(file, path.join(staging, "vm", name));
  }
  await compile(staging);
  await makeDisk(staging, "berth", disk);
}

/**
 * Fills the cache of compiled code, which is by the files' full names, as bin/berthd does at its first
 * start: emulated that takes minutes.
 */
async function compile(staging: string): Promise<void> {
  const script = `
    mount -t tmpfs none /opt && mkdir ${projectFolder} && mount --bind "$1" ${projectFolder}
    cd ${projectFolder}
    bin/berthd serve --config /nonexistent || true # the cache is filled before this is noticed
    NODE_COMPILE_CACHE=${projectFolder}/build/compile-cache scripts/node test/vm/host/warm-tests.ts`;
  await must("unshare", ["--mount", "sh", "-euc", script, "sh", staging], {
    timeoutMs: 300_000,
  });
}

function copy(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, verbatimSymlinks: true });
}

/** What `npm ci --omit=dev` would install: places below the project's folder. */
async function productionPackages(): Promise<string[]> {
  const lock = JSON.parse(await readFile(path.join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(([place, { dev }]) => place !== "" && dev !== true)
    .map(([place]) => place)
    .filter((place) => existsSync(path.join(root, place)));
}
