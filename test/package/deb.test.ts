// SPDX-License-Identifier: Apache-2.0
// The Debian package on machines that never saw the project, of Debian 12 and 13: installed by apt, run, upgraded under a container,
// cut off in the middle, rolled back, removed and purged.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { imageName, makeImage } from "../../scripts/quickstart/image.ts";
import { lacking } from "../support/lacking.ts";
import { must, run } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { buildPackage } from "./build-package.ts";
import { otherVersion } from "./other-version.ts";

const freshMachine = path.resolve(import.meta.dirname, "../../scripts/fresh-machine");
const steps = [
  "what is missing is told",
  "installed",
  "what is compiled is used where it is right",
  "runs containers",
  "faulty databases and a second daemon on the socket are refused",
  "upgraded",
  "unpacking was cut off",
  "the installation was cut off",
  "there was no room",
  "rolled back",
  "removed",
  "purged",
];

suite("a node without npm installs, runs, upgrades, rolls back, removes and purges the package", {
  skip: lacking("apt-get", "ip", "iptables", "busybox"),
}, () => {
  let home: Scratch;
  let deb: string;
  let files: string[];
  before(async () => {
    home = await scratch({ prefix: "package" });
    ({ deb } = await buildPackage(await home.folder("dist")));
    const newer = await otherVersion(deb, "9.9.9", await home.folder("newer"));
    const image = path.join(home.path, "image.tar");
    await must("tar", ["-C", await makeImage(home.path), "-cf", image, "."]);
    files = [deb, newer, image].flatMap((file) => ["--put", file]);
  });
  after(() => home?.[Symbol.asyncDispose]());

  for (const release of ["bookworm", "trixie"]) {
    test(release, async () => {
      const script = ["sh", "test/package/on-a-node.sh", imageName, path.basename(deb)];
      const { code, stdout, stderr } = await run(
        freshMachine,
        ["--no-npm", "--release", release, ...files, ...script],
        // With a Debian that is yet to be made.
        { timeoutMs: 900_000 },
      );
      const told = [...stdout.matchAll(/^== (.+)$/gm)].map((match) => match[1]);
      assert.deepEqual(told, steps, `${stdout}\n${stderr}`);
      assert.equal(code, 0, stderr);
    });
  }
});
