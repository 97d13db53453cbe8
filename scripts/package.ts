// SPDX-License-Identifier: Apache-2.0
// Makes Berth's packages, for nodes without npm: dist/berth_VERSION_{amd64,arm64}.{deb,tar.zst}, what is in them
// (.cdx.json) and SHA256SUMS. From the same commit and the same gcc come the same bytes.
//
//   npm run package                     for amd64 and arm64; the other kind's compiler must be there
//   npm run package -- --arch amd64     for one of them
//   npm run package -- --out FOLDER     elsewhere than dist/
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { run } from "../src/base/process.ts";
import { bundle } from "./package/bundle.ts";
import { compilePause } from "./package/compile-pause.ts";
import { deb } from "./package/deb.ts";
import { debControl } from "./package/deb-control.ts";
import { installedPart, lockedPart } from "./package/npm-parts.ts";
import { packageTree } from "./package/package-tree.ts";
import { sbom } from "./package/sbom.ts";
import { tarOf, zstd } from "./package/tar.ts";
import { type Target, targets } from "./package/target.ts";

/** Of zstd: at the next few that cost more, packages get three per cent smaller. */
const packLevel = 10;
const root = path.resolve(import.meta.dirname, "..");
const work = path.join(root, "build/package");
const { values } = parseArgs({
  options: {
    arch: { type: "string", default: "amd64,arm64" },
    out: { type: "string", default: path.join(root, "dist") },
  },
});
const wanted = values.arch.split(",").map((name) => {
  const target = targets.find((known) => known.name === name);
  if (target === undefined)
    throw new Error(`unknown architecture "${name}", expected amd64 or arm64`);
  return target;
});
const compilers = await Promise.all(wanted.map(compilerFor));
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
  version: string;
};
const isDirty = (await git("status", "--porcelain")) !== "";
const revision = `${await git("rev-parse", "HEAD")}${isDirty ? "-dirty" : ""}`;
const seconds = Number(
  process.env["SOURCE_DATE_EPOCH"] ?? (await git("log", "-1", "--format=%ct")),
);

// Who made the commit: no other person or address is known here.
const maintainer = await git("log", "-1", "--format=%cn <%ce>");

const bundled = await bundle(root);
const bundledParts = bundled.packages.map((folder) => installedPart(root, folder));
mkdirSync(values.out, { recursive: true });
const made = new Map<string, Uint8Array | string>();
for (const [index, target] of wanted.entries()) await makePackages(target, compilers[index] ?? "");
const sums = [...made].map(
  ([name, bytes]) => `${createHash("sha256").update(bytes).digest("hex")}  ${name}\n`,
);
made.set("SHA256SUMS", sums.join(""));
for (const [name, bytes] of made) writeFileSync(path.join(values.out, name), bytes);

async function makePackages(target: Target, compiler: string): Promise<void> {
  const about = { version, revision, architecture: target.name, seconds };
  const cache = path.join(work, "npm");
  const [node, koffi, koffiNative] = await Promise.all([
    lockedPart(root, `node-linux-${target.npmName}`, cache),
    lockedPart(root, "koffi", cache),
    lockedPart(root, `@koromix/koffi-linux-${target.npmName}`, cache),
  ]);
  // Another build of the same checkout may be under way.
  const pause = path.join(work, `pause-${target.name}-${process.pid}`);
  await compilePause(compiler, target.npmName, pause);
  const tree = packageTree({
    root,
    target,
    about,
    bundle: bundled,
    node,
    koffi,
    koffiNative,
    bundled: bundledParts,
    pause,
  });
  const [archive, data] = await Promise.all([
    zstd(tarOf(tree.archive, seconds), packLevel),
    zstd(tarOf(tree.deb, seconds), packLevel),
  ]);
  const name = `berth_${version}_${target.name}`;
  made.set(`${name}.tar.zst`, archive);
  made.set(`${name}.deb`, await deb(debControl(root, about, maintainer), tree.deb, data, seconds));
  made.set(`${name}.cdx.json`, sbom(about, [node, koffi, koffiNative, ...bundledParts]));
  process.stdout.write(`${name}: ${(archive.length / 1e6).toFixed(1)} MB packed\n`);
  rmSync(pause);
}

/** A compiler whose output runs on the target. */
async function compilerFor(target: Target): Promise<string> {
  if (target.npmName === process.arch) return "gcc";
  try {
    await run(target.crossCompiler, ["--version"]);
    return target.crossCompiler;
  } catch {
    throw new Error(
      `there is no ${target.crossCompiler} for ${target.name}: apt-get install ${target.crossPackage}, or name the others with --arch`,
    );
  }
}

async function git(...args: string[]): Promise<string> {
  const { stdout } = await run("git", args, { cwd: root });
  return stdout.toString().trim();
}
