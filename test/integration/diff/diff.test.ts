// SPDX-License-Identifier: Apache-2.0
// Layers onto mounts, and the difference of mounts into layers, on the real file systems.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { mountSpec, unmount } from "../../../src/base/os/mount.ts";
import { digestOf } from "../../../src/content/digest.ts";
import type { TypesMount } from "../../../src/gen/types.gen.ts";
import { rootLabel } from "../../../src/metadata/references.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import { inProcessClient } from "../../../src/rpc/in-process.ts";
import { createDiffService } from "../../../src/services/diff-service.ts";
import type { FolderSnapshotter } from "../../../src/snapshots/folder-snapshotter.ts";
import { createNativeSnapshotter } from "../../../src/snapshots/native/native-snapshotter.ts";
import { createOverlaySnapshotter } from "../../../src/snapshots/overlayfs/overlay-snapshotter.ts";
import { makeStores } from "../../support/stores.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const ns = "ns";
const on = { namespace: ns };
const call = { signal: new AbortController().signal };
const layerType = "application/vnd.oci.image.layer.v1.tar";

type Make = typeof createNativeSnapshotter;

async function bench(t: TestContext, make: Make) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth diff-"));
  t.after(async () => {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8");
    assert.ok(!mounts.includes(folder.replaceAll(" ", "\\040")), "a mount was left behind");
    await rm(folder, { recursive: true, force: true });
  });
  const { content, snapshots, leases, garbage } = await makeStores(folder, { make });
  const scratchFolder = path.join(folder, "scratch-mounts");
  const service = createDiffService({
    content,
    leases,
    garbage,
    scratchFolder,
    program: pauseBinaryPath(),
  });
  return {
    folder,
    content,
    garbage,
    snapshots,
    scratchFolder,
    client: inProcessClient("containerd.services.diff.v1.Diff", service),
    inside: async (mounts: readonly TypesMount[], script: string): Promise<string> => {
      const root = path.join(folder, "root");
      await mkdir(root, { recursive: true });
      for (const mount of mounts) mountSpec(mount, root);
      try {
        return execFileSync("sh", ["-ec", script], { cwd: root, encoding: "utf8" });
      } finally {
        unmount(root);
      }
    },
  };
}

type Bench = Awaited<ReturnType<typeof bench>>;

async function view(snapshots: FolderSnapshotter, key: string, of: string): Promise<TypesMount[]> {
  return snapshots.view(ns, key, of, call);
}

/** A base layer, and an active snapshot on it that a script has changed. */
async function changed({ snapshots, inside }: Bench): Promise<TypesMount[]> {
  const base = await snapshots.prepare(ns, "base-key", "", call);
  await inside(
    base,
    `mkdir -p etc/deep gone/a opt; echo one >etc/one; echo two >etc/two; echo same >same
     echo x >gone/a/x; ln -s one etc/link; chmod 750 etc; chown 5:6 etc; mknod dev c 1 3
     touch -d '2001-02-03 04:05:06' etc/one`,
  );
  await snapshots.commit(ns, "base", "base-key", call);
  const upper = await snapshots.prepare(ns, "upper", "base", call);
  await inside(
    upper,
    `echo ONE >etc/one; rm etc/two; rm -r gone; mkdir gone; echo new >gone/new
     rm etc/link; ln -s other etc/link; mkfifo pipe; rm -r opt; echo file >opt
     ln gone/new gone/hard; chmod 4755 gone/new; setfattr -n user.test -v hello gone/new || true
     printf 'caf\\351' >"$(printf 'caf\\351')"`,
  );
  return upper;
}

const listing =
  "find . -mindepth 1 -printf '%P %y %m %U:%G %s %l\\n' | sed 's/ d \\([0-9]*\\) \\([0-9:]*\\) [0-9]*/ d \\1 \\2/' | LC_ALL=C sort; cat etc/one gone/new opt";

test("a difference waits for whoever writes its ref", { skip }, async (t) => {
  const b = await bench(t, createOverlaySnapshotter);
  const right = await changed(b);
  const left = await view(b.snapshots, "left", "base");
  const other = await b.content.writer(ns, "d", {});
  await other.write(Buffer.from("other"), call);
  const made = b.client.Diff({ left, right, mediaType: layerType, ref: "d" }, on);
  void made.catch(() => {});
  setTimeout(() => void other[Symbol.asyncDispose](), 1_500);
  const { diff } = await made;
  assert.equal(b.content.list(ns)[0]?.digest, diff?.digest);
});

for (const make of [createOverlaySnapshotter, createNativeSnapshotter]) {
  for (const suffix of ["", "+gzip", "+zstd"]) {
    const kind = make === createNativeSnapshotter ? "native" : "overlayfs";
    test(`${kind}: a difference${suffix}, applied to its base, gives the same tree`, {
      skip,
    }, async (t) => {
      const b = await bench(t, make);
      const right = await changed(b);
      const left = await view(b.snapshots, "left", "base");
      const mediaType = `${layerType}${suffix}`;
      const { diff } = await b.client.Diff({ left, right, mediaType, ref: "d" }, on);
      assert.ok(diff);
      assert.equal(diff.mediaType, mediaType);
      const [info] = b.content.list(ns);
      assert.equal(info?.sizeBytes, diff.size);
      const again = await b.snapshots.prepare(ns, "again", "base", call);
      const { applied } = await b.client.Apply({ diff, mounts: again }, on);
      assert.equal(applied?.digest, info?.labels["containerd.io/uncompressed"]);
      assert.equal(applied?.mediaType, layerType);
      assert.equal(await b.inside(again, listing), await b.inside(right, listing));
      const none = await b.client.Diff({ left: again, right, mediaType: layerType }, on);
      assert.equal(none.diff?.size, 1024n, "no difference is an empty archive");
      assert.deepEqual(readdirSync(b.scratchFolder), []);
    });
  }
}

test("a difference names parents, deletions and nothing that is unchanged", { skip }, async (t) => {
  const b = await bench(t, createOverlaySnapshotter);
  const right = await changed(b);
  const left = await view(b.snapshots, "left", "base");
  const labels = { "containerd.io/gc.root": "x" };
  const { diff } = await b.client.Diff({ left, right, labels }, on);
  const blob = b.content.pathOf(b.content.list(ns)[0]!.digest);
  const names = execFileSync("tar", ["-tzf", blob], { encoding: "latin1", env: { LC_ALL: "C" } });
  for (const name of ["etc/", "etc/one", "etc/.wh.two", "gone/.wh.a", "gone/hard", "opt", "pipe"]) {
    assert.ok(names.split("\n").includes(name), `${name} in ${names}`);
  }
  assert.ok(!/^(same|dev)$/m.test(names));
  assert.equal(diff?.mediaType, `${layerType}+gzip`);
  assert.equal(b.content.list(ns)[0]?.labels["containerd.io/gc.root"], "x");
  const sourceDateEpoch = { seconds: 1_000_000_000n, nanos: 0 };
  const one = await b.client.Diff({ left, right, sourceDateEpoch }, on);
  const two = await b.client.Diff({ left, right, sourceDateEpoch }, on);
  assert.equal(one.diff?.digest, two.diff?.digest);
});

test("Apply and Diff refuse what they do not know, and leave nothing mounted", {
  skip,
}, async (t) => {
  const b = await bench(t, createOverlaySnapshotter);
  const mounts = await b.snapshots.prepare(ns, "k", "", call);
  const digest = digestOf("none");
  const apply = (mediaType: string) =>
    b.client.Apply({ diff: { mediaType, digest, size: 1n }, mounts }, on);
  await assert.rejects(apply("application/json"), { code: "UNIMPLEMENTED" });
  await assert.rejects(apply(`${layerType}+gzip`), { code: "NOT_FOUND" });
  await assert.rejects(b.client.Apply({ mounts }, on), { code: "INVALID_ARGUMENT" });
  await assert.rejects(b.client.Diff({ left: mounts, right: mounts, mediaType: "x/y" }, on), {
    code: "UNIMPLEMENTED",
  });
  const bad = [{ type: "nosuchfs", source: "none", target: "", options: [] }];
  await assert.rejects(b.client.Diff({ left: mounts, right: bad }, on));
  assert.deepEqual(readdirSync(b.scratchFolder), []);
});

test("a layer that is being applied is not collected, though no lease holds it", {
  skip,
}, async (t) => {
  const b = await bench(t, createOverlaySnapshotter);
  const right = await changed(b);
  const left = await view(b.snapshots, "left", "base");
  const { diff } = await b.client.Diff({ left, right, mediaType: layerType, ref: "d" }, on);
  assert.ok(diff);
  const mounts = await b.snapshots.prepare(ns, "again", "base", {
    ...call,
    labels: { [rootLabel]: "a test's" },
  });
  const pathOf = b.content.pathOf.bind(b.content);
  let collected: Promise<boolean> | undefined;
  Object.assign(b.content, {
    pathOf: (...given: Parameters<typeof pathOf>) => {
      collected ??= b.garbage.collect(ns, call);
      return pathOf(...given);
    },
  });
  await b.client.Apply({ diff, mounts }, on);
  assert.equal(await collected, true);
  assert.deepEqual(
    b.content.list(ns).map(({ digest }) => digest),
    [diff.digest],
  );
  assert.equal(await b.garbage.collect(ns, call), true);
  assert.deepEqual(b.content.list(ns), []);
});
