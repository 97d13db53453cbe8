// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, rm, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { cgroupMounts, removeCgroups } from "../cgroups.ts";
import { mountsBelow } from "../mounts.ts";
import { run } from "../run.ts";

/** What a kubelet sets when it starts, and nothing of it can be turned off. */
const tunables = [
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
].map((name) => `/proc/sys/${name}`);

/** Where a kubelet writes whatever its root directory is: device plugins' socket, links to logs. */
const pluginRoot = "/var/lib/kubelet";
const logLinks = "/var/log/containers";

/**
 * Notes what a kubelet with these folders changes outside of them; disposing puts it back: kernel
 * settings, folders of fixed names that were not there, its root's bind mount, its cgroups.
 */
export async function rememberTraces({
  folder,
  cgroupRoot,
}: {
  readonly folder: string;
  readonly cgroupRoot: string;
}): Promise<AsyncDisposable> {
  const settings = await Promise.all(
    tunables.map(async (file) => ({ file, value: await readFile(file, "utf8") })),
  );
  const folders = [pluginRoot, logLinks].filter((name) => !existsSync(name));
  return {
    [Symbol.asyncDispose]: async () => {
      for (const { file, value } of settings) {
        if ((await readFile(file, "utf8")) !== value) await writeFile(file, value);
      }
      await removeLinksInto(folder);
      if (folders.includes(pluginRoot)) await rm(pluginRoot, { recursive: true, force: true });
      if (folders.includes(logLinks)) await rmdir(logLinks).catch(() => {});
      for (const mount of (await mountsBelow(folder)).toReversed()) await run("umount", [mount]);
      await removeCgroups(cgroupRoot);
    },
  };
}

/** A kubelet's cgroupRoot is not made by it, and on v1 its cpuset starts empty. */
export async function makeCgroupRoot(cgroupRoot: string): Promise<void> {
  for (const mount of await cgroupMounts()) {
    const group = path.join(mount, cgroupRoot);
    await mkdir(group, { recursive: true });
    for (const name of ["cpuset.cpus", "cpuset.mems"]) {
      const file = path.join(group, name);
      const seed = await readFile(path.join(mount, name), "utf8").catch(() => "");
      const value = await readFile(file, "utf8").catch(() => undefined);
      if (value?.trim() === "" && seed.trim() !== "") await writeFile(file, seed);
    }
  }
}

async function removeLinksInto(folder: string): Promise<void> {
  for (const name of await readdir(logLinks).catch(() => [])) {
    const link = path.join(logLinks, name);
    const target = await readlink(link).catch(() => "");
    if (target.startsWith(`${folder}/`)) await rm(link, { force: true });
  }
}
