// SPDX-License-Identifier: Apache-2.0
// The package for arm64 in a whole emulated machine of that kind: Debian's kernel and packages, cgroup v2, no systemd. The
// machine takes some eight minutes, and is in no other suite: `npm run test:arm64`.
import assert from "node:assert/strict";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { build } from "esbuild";
import { buildPackage } from "../package/build-package.ts";
import { refuseLack } from "../support/arm64-needs.ts";
import { fileBytes, writeOciLayout } from "../support/oci-image.ts";
import { must, run } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { debianSources } from "../vm/host/base-image.ts";

const here = import.meta.dirname;
const project = path.resolve(here, "../..");
const kept = path.join(project, "build/arm64-vm");
const emulator = "qemu-system-aarch64";
const image = "localhost/quickstart/busybox:1";
const rootMs = 10 * 60_000;
const machineMs = 30 * 60_000;

const packInitrd = 'cd "$1" && find . -xdev -print0 | cpio -0 --quiet -o -H newc | gzip -1 >"$2"';

/** In the order of guest.sh. */
const steps = [
  "configured",
  "installed",
  "config check",
  "serving",
  "status",
  "image load",
  "berth run",
  "pod",
  "exec",
  "log",
  "end of the daemon",
  "second start",
  "exec after a restart",
  "end for the removal",
  "removed",
  "the pod after the removal",
  "installed again",
  "third start",
  "exec after an installation",
  "pod removed",
  "last end",
];

refuseLack([emulator, "mmdebstrap", "cpio", "aarch64-linux-gnu-gcc", "dpkg-deb"]);
suite("the package for arm64 in an emulated machine", () => {
  let home: Scratch;
  let said = "";
  before(async () => {
    home = await scratch({ prefix: "arm64-vm" });
    const { deb } = await buildPackage(await home.folder("dist"), { arch: "arm64" });
    const { codename, sources } = await debianSources();
    const list = path.join(home.path, "sources.list");
    await writeFile(list, sources);
    const boot = await home.folder("boot");
    const make = [path.join(here, "root.sh"), list, codename, boot];
    await must("sh", make, { timeoutMs: rootMs });
    const root = path.join(boot, "root");
    await cp(deb, path.join(root, "srv", path.basename(deb)));
    await bundleGuest(path.join(root, "srv/guest-pod.mjs"));
    await makeImage(home, root);
    await must("sh", ["-c", packInitrd, "pack", root, path.join(boot, "initrd.gz")], {
      timeoutMs: rootMs,
    });
    await mkdir(kept, { recursive: true });
    const log = path.join(kept, "console.log");
    await bootMachine(boot, log);
    said = `\n${await readFile(log, "utf8")}`.replaceAll("\r", "");
  });
  after(() => home[Symbol.asyncDispose]());

  for (const step of steps) {
    test(step, () => {
      const before = said.split(`\nstep ${step}: `);
      assert.equal(before.length, 2, `the machine did not come to it: ${said.slice(-3000)}`);
      assert.match(before[1] ?? "", /^0 /, `it failed after: ${before[0]?.slice(-3000)}`);
    });
  }

  test("the machine has come to its end", () => {
    assert.match(said, /^the end$/m, said.slice(-3000));
  });
});

async function bundleGuest(outfile: string): Promise<void> {
  await build({
    entryPoints: [path.join(here, "guest-pod.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node26",
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    external: ["koffi"],
    outfile,
    logLevel: "error",
  });
}

/** Debian's own static busybox for arm64, in an image of one layer. */
async function makeImage(home: Scratch, root: string): Promise<void> {
  const layout = await home.folder("layout");
  const names = ["sh", "echo", "sleep", "cat", "ls", "uname"];
  const content = await fileBytes(path.join(root, "bin/busybox"));
  await writeOciLayout(layout, image, {
    architecture: "arm64",
    config: { Env: ["PATH=/bin"], Cmd: ["/bin/sh"] },
    layers: [
      [
        { path: "bin" },
        { path: "bin/busybox", content, mode: 0o755 },
        ...names.map((name) => ({ path: `bin/${name}`, symlink: "busybox" })),
        { path: "tmp", mode: 0o1777 },
      ],
    ],
  });
  await must("tar", ["-C", layout, "-cf", path.join(root, "srv/image.tar"), "."]);
}

/** Until the machine ends itself; the log is its console. */
async function bootMachine(boot: string, log: string): Promise<void> {
  const argv = [
    "-M virt -cpu cortex-a57 -accel tcg,thread=multi -smp 2 -m 5000",
    "-nodefaults -display none -no-reboot",
  ]
    .flatMap((line) => line.split(" "))
    .concat("-serial", `file:${log.replaceAll(",", ",,")}`)
    .concat("-kernel", path.join(boot, "vmlinuz"), "-initrd", path.join(boot, "initrd.gz"))
    .concat("-append", "console=ttyAMA0 psi=1 panic=-1 quiet");
  const launcher = ["--pdeathsig", "KILL", emulator];
  const { code, stderr } = await run("setpriv", [...launcher, ...argv], { timeoutMs: machineMs });
  if (code !== 0) throw new Error(`${emulator} ended with ${code}: ${stderr}`);
}
