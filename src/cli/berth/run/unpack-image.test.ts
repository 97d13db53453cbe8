// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../../base/errors.ts";
import { chainIds } from "../../../images/chain-id.ts";
import type { Session } from "../call-options.ts";
import type { Lease } from "../lease.ts";
import type { StoredImage } from "./stored-image.ts";
import { unpackImage } from "./unpack-image.ts";

const digest = (sign: string): string => `sha256:${sign.repeat(64)}`;
const call = { signal: new AbortController().signal };

/** Unpacks an image whose layers hold these, on a daemon that has none of them; answers what was done to snapshots. */
async function unpacked(held: readonly string[], image: Partial<StoredImage>): Promise<string[]> {
  const done: string[] = [];
  let applied = 0;
  const clients: Record<string, unknown> = {
    "containerd.services.snapshots.v1.Snapshots": {
      Stat: () => Promise.reject(fault("NOT_FOUND", "no such snapshot")),
      Prepare: () => Promise.resolve({ mounts: [] }),
      Commit: ({ name }: { name: string }) => Promise.resolve(done.push(`commit ${name}`)),
      Remove: ({ key }: { key: string }) => Promise.resolve(done.push(`remove ${key.slice(-71)}`)),
    },
    "containerd.services.diff.v1.Diff": {
      Apply: () => Promise.resolve({ applied: { digest: held[applied++] } }),
    },
    "containerd.services.content.v1.Content": { Update: () => Promise.resolve({}) },
  };
  const session = { client: (name: string) => clients[name], scoped: call };
  const stored = { name: "example.test/it:1", config: { digest: digest("c") }, ...image };
  const lease = { call };
  const work = unpackImage(
    session as unknown as Session,
    stored as StoredImage,
    "overlayfs",
    lease as unknown as Lease,
  );
  await work.catch((error: Error) => done.push(error.message));
  return done;
}

const layers = [
  { digest: digest("1"), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", size: 1 },
  { digest: digest("2"), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", size: 1 },
] as unknown as StoredImage["layers"];
const diffIds = [digest("a"), digest("b")] as unknown as StoredImage["diffIds"];
const [below, top] = chainIds(diffIds);
const image = { layers, diffIds, chainId: top ?? "" };

test("layers that hold what the config says are committed by their chain ids", async () => {
  assert.deepEqual(await unpacked(diffIds, image), [`commit ${below}`, `commit ${top}`]);
});

test("a layer that holds something else than the config says is not committed as what it says", async () => {
  assert.deepEqual(await unpacked([digest("a"), digest("e")], image), [
    `commit ${below}`,
    `remove ${top}`,
    `layer "${digest("2")}" of image "example.test/it:1" holds "${digest("e")}", its config says "${digest("b")}"`,
  ]);
});

test("an image with more or fewer layers than its config tells of is not unpacked", async () => {
  const says = 'image "example.test/it:1" has 1 layers, but its config tells of 2';
  assert.deepEqual(await unpacked(diffIds, { ...image, layers: layers.slice(0, 1) }), [says]);
});
