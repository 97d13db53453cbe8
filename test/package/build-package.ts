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

const script = path.resolve(import.meta.dirname, "../../scripts/package.ts");
/** Half a minute is the usual; others may use the machine too. */
const timeoutMs = 300_000;

/** Makes the packages of this machine's kind in a folder. */
export async function buildPackage(folder: string): Promise<BuiltPackage> {
  const arch = process.arch === "x64" ? "amd64" : "arm64";
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
