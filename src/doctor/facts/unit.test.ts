// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { Host } from "../host.ts";
import { isOfPackage, readUnit, wordsOfCommand } from "./unit.ts";

test("a unit is read as systemd reads it: order of drop-ins, what is taken back, and which variables win", async () => {
  await using home = await scratch({ prefix: "unit" });
  const files = {
    "/usr/lib/systemd/system/k.service":
      "[Unit]\nDescription=k\n[Service]\nEnvironment=A=old 'B=b 2'\nExecStart=/usr/bin/k one\n",
    // Its namesake in /etc wins.
    "/usr/lib/systemd/system/k.service.d/10.conf": "[Service]\nExecStart=\nExecStart=/wrong\n",
    "/etc/systemd/system/k.service.d/10.conf":
      "[Service]\nExecStart=\nExecStart=-/usr/bin/k $A \\\n  ${B} $C\nEnvironmentFile=/etc/gone\nEnvironmentFile=\nEnvironmentFile=-/etc/k/*.env\n",
    "/etc/systemd/system/k.service.d/20.conf":
      "[Service]\n# ExecStart=/no\nEnvironment=A=late C=c\n",
    "/etc/gone": "C=gone\n",
    "/etc/k/1.env": 'A="x y"\n',
    "/etc/k/2.txt": "A=no\n",
  };
  await make(home.path, files);
  const unit = await readUnit(new Host(home.path), "k");
  assert.deepEqual(wordsOfCommand(unit), ["/usr/bin/k", "x", "y", "b 2", "c"]);
  assert.deepEqual(
    [...unit.files, ...unit.environmentFiles].map(({ file }) => file),
    [
      "/usr/lib/systemd/system/k.service",
      "/etc/systemd/system/k.service.d/10.conf",
      "/etc/systemd/system/k.service.d/20.conf",
      "/etc/k/1.env",
    ],
  );
});

test("only %n in a file's name has the unit's suffix", async () => {
  await using home = await scratch({ prefix: "unit" });
  await make(home.path, {
    "/etc/systemd/system/k.service":
      "[Service]\nEnvironmentFile=-/etc/%n.env\nEnvironmentFile=/etc/%N-%p.env\n",
    "/etc/k.service.env": "A=full\n",
    "/etc/k.env": "A=wrong\n",
    "/etc/k-k.env": "B=short\n",
  });
  const { variables } = await readUnit(new Host(home.path), "k");
  assert.deepEqual(Object.fromEntries(variables), { A: "full", B: "short" });
});

test("files of packages, and those that a boot makes anew, are no operator's", () => {
  const not = [
    "/usr/lib/systemd/system/k.service",
    "/lib/systemd/system/k.service",
    "/run/systemd/system/k.service",
  ];
  const own = ["/usr/local/lib/systemd/system/k.service", "/etc/systemd/system/k.service"];
  assert.deepEqual([...not, ...own].filter(isOfPackage), not);
});

async function make(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [file, text] of Object.entries(files)) {
    const place = path.join(root, file);
    await mkdir(path.dirname(place), { recursive: true });
    await writeFile(place, text);
  }
}
