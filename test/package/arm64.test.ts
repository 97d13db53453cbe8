// SPDX-License-Identifier: Apache-2.0
// The package for arm64 on a machine of another kind: its programs run under QEMU's emulation of a process, with the
// libraries that the package depends on, as Debian has them for arm64.
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking } from "../support/lacking.ts";
import { must, run } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { addLibraries } from "./arm64-libraries.ts";
import { buildPackage } from "./build-package.ts";

const emulator = "qemu-aarch64-static";
const skip = lacking(emulator, "aarch64-linux-gnu-gcc", "apt-get", "dpkg-deb");
/** Emulated, a program takes some ten times longer. */
const timeoutMs = 240_000;

suite("the package for arm64, emulated", { skip }, () => {
  let home: Scratch;
  let root: string;
  let folder: string;
  before(async () => {
    home = await scratch({ prefix: "arm64" });
    root = await home.folder("root");
    const { archive } = await buildPackage(await home.folder("dist"), { arch: "arm64" });
    await must("tar", ["-C", root, "--zstd", "-xf", archive]);
    await addLibraries(await home.folder("apt"), root);
    folder = path.join(root, globSync("usr/lib/berth/*-*", { cwd: root })[0] ?? "");
  });
  after(() => home[Symbol.asyncDispose]());

  const node = (...args: string[]) => {
    const argv = ["-L", root, path.join(folder, "bin/node"), ...args];
    return run(emulator, argv, { timeoutMs, cwd: "/" });
  };
  const program = (name: string, ...args: string[]) =>
    node(path.join(folder, `lib/js/${name}.js`), ...args);

  test("has a Node, a sandbox and native parts of that kind, and none of this one", async () => {
    const files = ["bin/node", "build/pause-arm64"]
      .concat(globSync("node_modules/@koromix/**/*.node", { cwd: folder }))
      .map((name) => path.join(folder, name));
    assert.equal(files.length, 3);
    for (const file of files) {
      assert.equal((await must("od", ["-An", "-j18", "-N2", "-tu2", file])).trim(), "183", file);
    }
  });

  test("tells its version, checks a configuration and has help", async () => {
    assert.match((await program("berthd", "version")).stdout, /^berthd \d+\.\d+\.\d+\nnode v/);
    const config = path.join(root, "etc/berthd/config.toml");
    const check = await program("berthd", "config", "check", "--config", config);
    assert.match(check.stdout, /^configuration is valid/, check.stderr);
    assert.match((await program("berth", "--help")).stdout, /^Usage: berth /);
  });

  test("berth says that there is no daemon", async () => {
    const { code, stderr } = await program("berth", "--address", `${root}/no.sock`, "version");
    assert.equal(code, 1);
    assert.match(stderr, /cannot reach berthd/);
  });

  test("native calls are answered", async () => {
    const koffi = JSON.stringify(path.join(folder, "node_modules/koffi/index.cjs"));
    const call = `require(${koffi}).load("libc.so.6").func("int getpid()")() === process.pid`;
    assert.equal((await node("-p", call)).stdout, "true\n");
  });
});
