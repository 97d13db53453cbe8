// SPDX-License-Identifier: Apache-2.0
import { globSync } from "node:fs";
import path from "node:path";
import { must } from "../support/run.ts";

/** The files that `npm run package` makes for one kind of machine. */
export interface BuiltPackage {
  readonly archive: string;
  readonly deb: string;
  readonly sbom: string;
  readonly sums: string;
}

const project = path.resolve(import.meta.dirname, "../..");
/** Half a minute is the usual; others may use the machine too. */
const timeoutMs = 300_000;

const ownArch = process.arch === "x64" ? "amd64" : "arm64";

/** Makes the packages of this machine's kind, or another, in a folder, from this checkout or another one. */
export async function buildPackage(
  folder: string,
  { checkout = project, arch = ownArch }: { checkout?: string; arch?: "amd64" | "arm64" } = {},
): Promise<BuiltPackage> {
  const script = path.join(checkout, "scripts/package.ts");
  await must(process.execPath, [script, "--arch", arch, "--out", folder], { timeoutMs });
  const only = (pattern: string): string => {
    const [found, ...more] = globSync(pattern, { cwd: folder });
    if (found === undefined || more.length > 0) throw new Error(`not one ${pattern} in ${folder}`);
    return path.join(folder, found);
  };
  return {
    archive: only("berth_*.tar.zst"),
    deb: only("berth_*.deb"),
    sbom: only("berth_*.cdx.json"),
    sums: only("SHA256SUMS"),
  };
}

/** A clean checkout of a commit of this one, at `folder`, with the npm packages that are installed here. */
export async function cleanCheckout(commit: string, folder: string): Promise<void> {
  await must("git", ["clone", "--quiet", "--shared", "--no-checkout", project, folder]);
  await must("git", ["-C", folder, "checkout", "--quiet", "--detach", commit]);
  await must("cp", ["-a", "--link", path.join(project, "node_modules"), folder]);
}
