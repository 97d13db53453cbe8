// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { debianPackage } from "./debian-package.ts";
import { toolsCache } from "./go-tools.ts";
import { findProgram } from "./lacking.ts";
import { must } from "./run.ts";
import { scratch } from "./scratch.ts";

/** A runc that the machine's release does not have, complete in a folder of its own. */
export interface NewerRunc {
  /** Use it where it is: its loader and libraries are named by absolute paths below `folder`. */
  readonly binary: string;
  /** Only what the binary needs; to use it on another machine, put it at the same path there. */
  readonly folder: string;
  /** The package's version. */
  readonly version: string;
}

const suite = "sid";
/** The C library goes along: sid's runc asks for a newer one than an older release has. */
const packages = ["runc", "libseccomp2", "libc6"] as const;
const libraries = ["libc.so.6", "libseccomp.so.2"];
const loaders = /^ld-linux.*\.so\.\d$/;

/**
 * Debian sid's runc, kept in the tools' cache. apt works in folders of its own meanwhile, so neither
 * the machine's sources nor its packages change. Throws with the reason when it cannot be had.
 */
export async function newerRunc(): Promise<NewerRunc> {
  const cache = path.join(toolsCache(), `debian-${suite}`);
  const known = await cached(cache);
  if (known !== undefined) return known;
  await using home = await scratch({ prefix: "sid" });
  const found = await download(home.path);
  const version = await must("dpkg-deb", ["--field", found.archives.runc, "Version"]);
  const folder = path.join(cache, `runc-${version.trim()}`);
  const fresh = `${folder}.${process.pid}`;
  try {
    await assemble(found.unpacked, fresh, folder);
    // Another test process may have been first.
    await rename(fresh, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  const binary = path.join(folder, "runc");
  await must(binary, ["--version"]);
  return { binary, folder, version: version.trim() };
}

/** For tests: the runtime, or the reason to skip. */
export async function newerRuncOrReason(): Promise<
  (NewerRunc & { readonly skip: false }) | { readonly skip: string }
> {
  try {
    return { ...(await newerRunc()), skip: false };
  } catch (error) {
    return {
      skip: `needs a newer runc: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** The newest there is: the network is asked only when there is none. */
async function cached(cache: string): Promise<NewerRunc | undefined> {
  const names = await readdir(cache).catch(() => []);
  const versions = names
    .map((name) => /^runc-(.*-\d+)$/.exec(name)?.[1])
    .filter((version) => version !== undefined)
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const version = versions.at(-1);
  if (version === undefined) return undefined;
  const folder = path.join(cache, `runc-${version}`);
  return { binary: path.join(folder, "runc"), folder, version };
}

type PackageName = (typeof packages)[number];

interface Downloaded {
  readonly archives: Readonly<Record<PackageName, string>>;
  /** Folder with all packages' files, one tree. */
  readonly unpacked: string;
}

async function download(folder: string): Promise<Downloaded> {
  const lacking = ["apt-get", "dpkg-deb", "ldd"].filter((name) => findProgram(name) === undefined);
  if (lacking.length > 0) throw new Error(`there is no ${lacking.join(", ")}`);
  const sources = path.join(folder, "suite.sources");
  await writeFile(sources, await sourceOfSuite());
  const lists = path.join(folder, "lists");
  const archives = path.join(folder, "archives");
  for (const place of [lists, archives]) {
    await mkdir(path.join(place, "partial"), { recursive: true });
  }
  const settings = {
    "Dir::Etc::sourcelist": sources,
    "Dir::Etc::sourceparts": "-",
    "Dir::State::lists": lists,
    "Dir::State::status": "/dev/null",
    "Dir::Cache::archives": archives,
    "Dir::Cache::pkgcache": "",
    "Dir::Cache::srcpkgcache": "",
    "APT::Sandbox::User": "root",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await must("apt-get", ["-q", ...options, "update"], { timeoutMs: 180_000 });
  await must("apt-get", ["-q", ...options, "download", ...packages], {
    cwd: archives,
    timeoutMs: 180_000,
  });
  const unpacked = path.join(folder, "unpacked");
  const files = await readdir(archives);
  const found: Partial<Record<PackageName, string>> = {};
  for (const name of packages) {
    const file = files.find((it) => it.startsWith(`${name}_`) && it.endsWith(".deb"));
    if (file === undefined) throw new Error(`apt-get brought no ${name}`);
    found[name] = path.join(archives, file);
    await must("dpkg-deb", ["-x", found[name], unpacked]);
  }
  return { archives: found as Record<PackageName, string>, unpacked };
}

/** The machine's own mirror with another suite, as deb822; whichever mirror that is. */
async function sourceOfSuite(): Promise<string> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME="?([\w-]+)/m.exec(release)?.[1];
  if (codename === undefined || !/^ID="?debian"?$/m.test(release)) {
    throw new Error("this machine is not a Debian release, so its mirror has no sid");
  }
  const targets = await must("apt-get", [
    "indextargets",
    "--format=$(RELEASE) $(COMPONENT) $(REPO_URI)",
    "Created-By: Packages",
  ]);
  const mirror = targets
    .split("\n")
    .map((line) => line.split(" "))
    .find(([name, component]) => name === codename && component === "main")?.[2];
  if (mirror === undefined) throw new Error(`apt has no source for ${codename}`);
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  return [
    "Types: deb",
    `URIs: ${mirror}`,
    `Suites: ${suite}`,
    "Components: main",
    ...(existsSync(keyring) ? [`Signed-By: ${keyring}`] : []),
    "",
  ].join("\n");
}

/**
 * Puts the binary and the libraries it needs side by side in `fresh`, which becomes `folder`. The binary
 * must name its loader itself: started through one, it could not start itself again as `runc init`.
 */
async function assemble(unpacked: string, fresh: string, folder: string): Promise<void> {
  await mkdir(path.join(fresh, "lib"), { recursive: true });
  const files = await readdir(unpacked, { recursive: true, withFileTypes: true });
  const find = (what: string, matches: (name: string) => boolean): string => {
    const file = files.find((it) => !it.isDirectory() && matches(it.name));
    if (file === undefined) throw new Error(`the packages of ${suite} hold no ${what}`);
    return path.join(file.parentPath, file.name);
  };
  const loader = find("loader", (name) => loaders.test(name));
  const lib = (name: string): string => path.join("lib", name);
  for (const name of libraries) {
    await copyFile(
      find(name, (it) => it === name),
      path.join(fresh, lib(name)),
    );
  }
  const loaderName = lib(path.basename(loader));
  await copyFile(loader, path.join(fresh, loaderName));
  await chmod(path.join(fresh, loaderName), 0o755);
  const binary = path.join(fresh, "runc");
  await copyFile(
    find("runc", (it) => it === "runc"),
    binary,
  );
  await chmod(binary, 0o755);
  const patchelf = path.join(await debianPackage("patchelf"), "usr/bin/patchelf");
  await must(patchelf, [
    "--set-interpreter",
    path.join(folder, loaderName),
    "--set-rpath",
    path.join(folder, "lib"),
    binary,
  ]);
}
