// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { must } from "../support/run.ts";

/** The same package under another version, in `folder`, without building anything. */
export async function otherVersion(deb: string, version: string, folder: string): Promise<string> {
  const root = path.join(folder, "unpacked");
  await must("dpkg-deb", ["-R", deb, root]);
  replaceIn(path.join(root, "DEBIAN/control"), /^Version: .*$/m, `Version: ${version}`);
  const home = path.join(root, "usr/lib/berth/package");
  replaceIn(path.join(home, "package.json"), /"version": "[^"]*"/, `"version": "${version}"`);
  replaceIn(path.join(home, "name"), /^.*(?=-[0-9a-f]{12}$)/m, version);
  const other = path.join(folder, path.basename(deb).replace(/_[^_]*_/, `_${version}_`));
  await must("dpkg-deb", ["-Zzstd", "-z1", "--root-owner-group", "-b", root, other]);
  return other;
}

function replaceIn(file: string, from: RegExp, to: string): void {
  writeFileSync(file, readFileSync(file, "utf8").replace(from, to));
}
