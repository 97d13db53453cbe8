// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { workHere } from "../../trees/run-here.ts";
import { containerDisk } from "./container-disk.ts";

const call = { signal: new AbortController().signal };
const mib = 1024 * 1024;

test("a container's disk is its layer, its volumes, and what it let grow under /etc", async () => {
  await using place = await scratch();
  const volumes = path.join(place.path, "volumes");
  const files = ["hostname", "hosts", "resolv.conf"].map((name) => path.join(place.path, name));
  const disk = containerDisk({
    layer: async () => ({ sizeBytes: 1000n, inodes: 10n }),
    volumes: () => volumes,
    shared: () => files,
    work: workHere(),
  });
  assert.deepEqual(await disk("c1", call), { sizeBytes: 1000n, inodes: 10n });

  for (const file of files) await writeFile(file, "a few words\n");
  assert.equal((await disk("c1", call)).sizeBytes, 1000n);

  await writeFile(files[2]!, Buffer.alloc(3 * mib, "x"));
  assert.equal((await disk("c1", call)).sizeBytes, 1000n + BigInt(3 * mib));

  await mkdir(volumes);
  await writeFile(path.join(volumes, "file"), Buffer.alloc(mib, "x"));
  const { sizeBytes, inodes } = await disk("c2", call);
  assert.ok(sizeBytes >= 1000n + BigInt(4 * mib), String(sizeBytes));
  assert.ok(inodes > 10n);
});
