// SPDX-License-Identifier: Apache-2.0
import { globSync, writeFileSync } from "node:fs";
import path from "node:path";
import { must } from "../support/run.ts";

const libraries = ["libc6", "libgcc-s1", "libstdc++6", "libatomic1"];
const timeoutMs = 240_000;

/** Debian's packages for arm64, unpacked; this machine's own apt knows nothing of them. */
export async function addLibraries(apt: string, root: string): Promise<void> {
  await must("mkdir", ["-p", ...["lists", "archives"].map((name) => `${apt}/${name}/partial`)]);
  writeFileSync(path.join(apt, "status"), "");
  const settings = {
    "APT::Architecture": "arm64",
    "APT::Architectures": "arm64",
    "APT::Sandbox::User": "root",
    "Dir::State::lists": `${apt}/lists`,
    "Dir::State::status": `${apt}/status`,
    "Dir::Cache": apt,
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await must("apt-get", [...options, "update", "-qq"], { timeoutMs });
  const downloads = path.join(apt, "archives");
  await must("apt-get", [...options, "download", "-qq", ...libraries], {
    timeoutMs,
    cwd: downloads,
  });
  for (const deb of globSync("*.deb", { cwd: downloads })) {
    await must("dpkg-deb", ["-x", path.join(downloads, deb), root]);
  }
}
