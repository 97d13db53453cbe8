// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdir, readdir, realpath, rename, rm } from "node:fs/promises";
import path from "node:path";
import { toolsCache } from "./go-tools.ts";
import { must } from "./run.ts";

/**
 * A Debian package's files, unpacked into the tools' cache and not installed: for images that are
 * built from programs which conflict with the host's own (busybox and busybox-static, for one).
 */
export async function debianPackage(name: string): Promise<string> {
  const folder = path.join(toolsCache(), "debian", name);
  if (existsSync(folder)) return folder;
  const fresh = `${folder}.${process.pid}`;
  await mkdir(fresh, { recursive: true });
  try {
    // apt fetches as an unprivileged user where it can; as root into a root's folder it only warns.
    await must("apt-get", ["-q", "-o", "APT::Sandbox::User=root", "download", name], {
      cwd: fresh,
    });
    const [file] = (await readdir(fresh)).filter((entry) => entry.endsWith(".deb"));
    if (file === undefined) throw new Error(`apt-get download ${name}: no file`);
    const unpacked = path.join(fresh, "unpacked");
    await must("dpkg-deb", ["-x", path.join(fresh, file), unpacked]);
    // Another test process may have been first.
    await rename(unpacked, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** The shared libraries a program needs, its loader among them: where it expects them, and the files. */
export async function librariesOf(program: string): Promise<{ path: string; file: string }[]> {
  const listing = await must("ldd", [program]);
  const paths = [...listing.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]!);
  return Promise.all(paths.map(async (it) => ({ path: it, file: await realpath(it) })));
}
