// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { toolsCache } from "../../support/go-tools.ts";
import { must } from "../../support/run.ts";

/** What the virtual machine starts from; the disk is never written to. */
export interface BaseImage {
  readonly disk: string;
  readonly kernel: string;
  readonly initrd: string;
}

const recipe = path.join(import.meta.dirname, "base-image.sh");

/**
 * The machine's system, from Debian's packages by the host's own apt sources: made once, in about two
 * minutes, and kept in the tools' cache under a key of its recipe and release. Throws with the reason
 * when it cannot be made.
 */
export async function baseImage(say: (line: string) => void): Promise<BaseImage> {
  const { codename, sources } = await debianSources();
  const key = createHash("sha256")
    .update(await readFile(recipe))
    .update(codename)
    .digest("hex");
  const folder = path.join(toolsCache(), "vm", `${codename}-${key.slice(0, 16)}`);
  if (!existsSync(folder)) {
    const fresh = `${folder}.${process.pid}`;
    try {
      await mkdir(fresh, { recursive: true });
      const list = path.join(fresh, "sources.list");
      await writeFile(list, sources);
      say(`making a Debian ${codename} for the virtual machine, which takes a few minutes`);
      await must("sh", [recipe, list, codename, fresh], { timeoutMs: 10 * 60_000 });
      // Another run may have been first.
      if (!existsSync(folder)) await rename(fresh, folder);
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }
  return {
    disk: path.join(folder, "disk.img"),
    kernel: path.join(folder, "vmlinuz"),
    initrd: path.join(folder, "initrd.img"),
  };
}

/** The release that this machine is, and apt's own sources for it. */
export async function debianSources(): Promise<{ codename: string; sources: string }> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME="?([\w-]+)/m.exec(release)?.[1];
  if (codename === undefined || !/^ID="?debian"?$/m.test(release)) {
    throw new Error("this machine is not a Debian release, so apt has no packages of one");
  }
  const targets = await must("apt-get", [
    "indextargets",
    "--format=$(REPO_URI) $(CODENAME) $(COMPONENT)",
    "Created-By: Packages",
    "Origin: Debian",
  ]);
  const lines = targets
    .split("\n")
    .filter((line) => {
      const suite = line.split(" ")[1];
      return suite === codename || suite?.startsWith(`${codename}-`) === true;
    })
    .map((line) => `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${line}`);
  if (lines.length === 0) throw new Error(`apt has no lists for ${codename}: run apt-get update`);
  return { codename, sources: `${[...new Set(lines)].join("\n")}\n` };
}
