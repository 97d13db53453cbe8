// SPDX-License-Identifier: Apache-2.0
// The Debian package where /usr or /var has no room: dpkg says so, a container and its daemon go on, and with space again dpkg
// finishes.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { imageName, makeImage } from "../../scripts/quickstart/image.ts";
import { lacking } from "../support/lacking.ts";
import { must, run } from "../support/run.ts";
import { scratch } from "../support/scratch.ts";
import { buildPackage } from "./build-package.ts";
import { otherVersion } from "./other-version.ts";

const freshMachine = path.resolve(import.meta.dirname, "../../scripts/fresh-machine");
const steps = [
  "not installed with a full /var",
  "not installed with a full /usr",
  "installed with space again",
  "runs containers",
  "upgraded with a full /var",
  "purged",
];

test("a full disk stops an installation or an upgrade, and nothing that runs", {
  skip: lacking("apt-get", "ip", "iptables", "busybox"),
}, async () => {
  await using home = await scratch({ prefix: "package" });
  const { deb } = await buildPackage(await home.folder("dist"));
  const newer = await otherVersion(deb, "9.9.9", await home.folder("newer"));
  const image = path.join(home.path, "image.tar");
  await must("tar", ["-C", await makeImage(home.path), "-cf", image, "."]);
  const files = [deb, newer, image].flatMap((file) => ["--put", file]);
  const script = ["sh", "test/package/full-disk.sh", imageName, path.basename(deb)];
  const { code, stdout, stderr } = await run(freshMachine, ["--no-npm", ...files, ...script], {
    timeoutMs: 900_000,
  });
  const told = [...stdout.matchAll(/^== (.+)$/gm)].map((match) => match[1]);
  assert.deepEqual(told, steps, `${stdout}\n${stderr}`);
  assert.equal(code, 0, stderr);
});
