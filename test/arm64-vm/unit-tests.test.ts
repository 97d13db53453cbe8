// SPDX-License-Identifier: Apache-2.0
// Unit tests of what differs between machines (system calls, structures, the sandbox's binary, native calls), by Node for arm64
// under QEMU's emulation of a process, of the last commit. It cannot start programs of its own kind, so those
// that do are left out.
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { addLibraries } from "../package/arm64-libraries.ts";
import { buildPackage, cleanCheckout } from "../package/build-package.ts";
import { refuseLack } from "../support/arm64-needs.ts";
import { must, run } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

const emulator = "qemu-aarch64-static";
const timeoutMs = 15 * 60_000;
const groups = [
  "src/base/os/!(process-scan|living-thread).test.ts",
  "src/pause/*.test.ts",
  "src/oci/**/*.test.ts",
  "src/network/{result,conf,plugin-args,result-cache}.test.ts",
  "src/images/tar/*.test.ts",
  "src/cri/oci-spec/seccomp/seccomp.test.ts",
];

refuseLack([emulator, "aarch64-linux-gnu-gcc", "apt-get", "dpkg-deb", "git"]);
suite("unit tests for arm64, emulated", () => {
  let home: Scratch;
  let root: string;
  let node: string;
  let checkout: string;
  before(async () => {
    home = await scratch({ prefix: "arm64-unit" });
    root = await home.folder("root");
    const { archive } = await buildPackage(await home.folder("dist"), { arch: "arm64" });
    await must("tar", ["-C", root, "--zstd", "-xf", archive]);
    await addLibraries(await home.folder("apt"), root);
    const folder = path.join(root, globSync("usr/lib/berth/*-*", { cwd: root })[0] ?? "");
    node = path.join(folder, "bin/node");
    checkout = path.join(home.path, "checkout");
    await cleanCheckout("HEAD", checkout);
    const native = "node_modules/@koromix/koffi-linux-arm64";
    await cp(path.join(folder, native), path.join(checkout, native), { recursive: true });
    await mkdir(path.join(checkout, "build"));
    await cp(path.join(folder, "build/pause-arm64"), path.join(checkout, "build/pause-arm64"));
  });
  after(() => home[Symbol.asyncDispose]());

  for (const group of groups) {
    test(group, async (t) => {
      const files = globSync(group, { cwd: checkout }).sort();
      assert.notEqual(files.length, 0, "there are none");
      const argv = ["-L", root, node, "--test", "--test-isolation=none", ...files];
      const env = { NODE_OPTIONS: "", NODE_TEST_CONTEXT: "" };
      const { code, stdout, stderr } = await run(emulator, argv, { timeoutMs, cwd: checkout, env });
      t.diagnostic(`${/pass \d+/.exec(stdout)?.[0] ?? "none"} of ${files.length} files`);
      assert.equal(code, 0, `${stdout.slice(-4000)}\n${stderr}`);
    });
  }
});
