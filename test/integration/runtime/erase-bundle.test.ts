// SPDX-License-Identifier: Apache-2.0
// A bundle in whose rootfs a privileged pod has mounted a folder of the host, under names of any bytes.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { unmountBelow } from "../../../src/base/os/mount-table.ts";
import { run } from "../../../src/base/process.ts";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import { eraseFolder } from "../../../src/runtime/bundle/bundle.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: AbortSignal.timeout(300_000) };

interface Place {
  readonly bundle: string;
  readonly hosts: string;
}

/** Mounts `hosts`, with a file in it, on two names below the rootfs; one is not UTF-8, one has a blank. */
async function prepare(t: TestContext): Promise<Place> {
  const folder = mkdtempSync(path.join(tmpdir(), "eb "));
  const [bundle, hosts] = [path.join(folder, ".a.1.1"), path.join(folder, "hosts")];
  const rootfs = path.join(bundle, "rootfs");
  mkdirSync(rootfs, { recursive: true });
  mkdirSync(hosts);
  writeFileSync(path.join(hosts, "file"), "");
  const script = `for n in "$(printf '\\377')" "$(printf 'a \\376')"; do
    mkdir "$2/$n" && mount --bind "$1" "$2/$n" || exit 1; done`;
  await run("sh", ["-c", script, "sh", hosts, rootfs], call);
  t.after(async () => {
    while ((await unmountBelow(rootfs)) > 0) {
      // until none is left
    }
    removeFolderSync(folder);
  });
  return { bundle, hosts };
}

test("unmountBelow takes off mounts whose names are not UTF-8", { skip }, async (t) => {
  const { bundle } = await prepare(t);
  assert.equal(await unmountBelow(bundle), 2);
});

test("a bundle is erased without what is mounted in it", { skip }, async (t) => {
  const { bundle, hosts } = await prepare(t);
  await eraseFolder(bundle);
  assert.deepEqual(readdirSync(hosts), ["file"]);
  assert.ok(!existsSync(bundle));
});
