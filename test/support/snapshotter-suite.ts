// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { mountSpec, unmount } from "../../src/base/os/mount.ts";
import type { TypesMount } from "../../src/gen/types.gen.ts";
import type { Snapshotter } from "../../src/snapshots/ports.ts";

export interface MadeSnapshotter {
  readonly snapshotter: Snapshotter;
  /** Opens the same snapshots again, as a restart does. */
  readonly reopen: () => Promise<Snapshotter>;
  /** A folder for mount points. */
  readonly scratch: string;
}

const ns = "k8s.io";
const call = { signal: new AbortController().signal };

/** What every snapshotter must do. `make` gives an empty one and cleans up through the test. */
export function snapshotterSuite(
  name: string,
  make: (t: TestContext) => Promise<MadeSnapshotter>,
  { skip = false }: { readonly skip?: string | false } = {},
): void {
  const check = (what: string, body: (made: MadeSnapshotter) => Promise<void>): void => {
    test(`${name} ${what}`, { skip }, async (t) => body(await make(t)));
  };
  /** Mounts, lets `use` work in the tree, unmounts. */
  async function inside<T>(
    { scratch }: MadeSnapshotter,
    mounts: readonly TypesMount[],
    use: (root: string) => Promise<T>,
  ): Promise<T> {
    const root = path.join(scratch, "root");
    await mkdir(root, { recursive: true });
    for (const mount of mounts) mountSpec(mount, root);
    try {
      return await use(root);
    } finally {
      for (let left = mounts.length; left > 0; left -= 1) unmount(root);
    }
  }
  /** Commits a layer that holds files. */
  async function layer(
    made: MadeSnapshotter,
    key: string,
    parent: string,
    files: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { snapshotter } = made;
    const mounts = await snapshotter.prepare(ns, `${key}-active`, parent, call);
    await inside(made, mounts, async (root) => {
      for (const [file, text] of Object.entries(files))
        await writeFile(path.join(root, file), text);
    });
    await snapshotter.commit(ns, key, `${key}-active`, call);
  }

  check("shows what all layers hold, the upper over the lower", async (made) => {
    await layer(made, "base", "", { a: "base", b: "base" });
    await layer(made, "top", "base", { b: "top" });
    const mounts = await made.snapshotter.prepare(ns, "active", "top", call);
    await inside(made, mounts, async (root) => {
      assert.equal(await readFile(path.join(root, "a"), "utf8"), "base");
      assert.equal(await readFile(path.join(root, "b"), "utf8"), "top");
      await rm(path.join(root, "a"));
      await writeFile(path.join(root, "c"), "own");
    });
    assert.deepEqual(made.snapshotter.mounts(ns, "active"), mounts);
    await made.snapshotter.commit(ns, "third", "active", call);
    const view = await made.snapshotter.view(ns, "view", "third", call);
    await inside(made, view, async (root) => {
      await assert.rejects(readFile(path.join(root, "a")), { code: "ENOENT" });
      assert.equal(await readFile(path.join(root, "c"), "utf8"), "own");
      await assert.rejects(writeFile(path.join(root, "d"), "x"), { code: "EROFS" });
    });
  });

  check("gives a view of one layer read-only", async (made) => {
    await layer(made, "base", "", { a: "base" });
    const view = await made.snapshotter.view(ns, "view", "base", call);
    await inside(made, view, async (root) => {
      assert.equal(await readFile(path.join(root, "a"), "utf8"), "base");
      await assert.rejects(writeFile(path.join(root, "a"), "x"), { code: "EROFS" });
    });
  });

  check("tells what it holds", async ({ snapshotter }) => {
    await snapshotter.prepare(ns, "key", "", { labels: { a: "b" }, ...call });
    const info = snapshotter.stat(ns, "key");
    assert.deepEqual([info.kind, info.parent, info.labels], ["ACTIVE", "", { a: "b" }]);
    assert.deepEqual((await snapshotter.update(ns, "key", { c: "d" })).labels, { c: "d" });
    await snapshotter.commit(ns, "name", "key", call);
    assert.deepEqual(
      snapshotter.list(ns).map(({ name, kind }) => [name, kind]),
      [["name", "COMMITTED"]],
    );
    assert.deepEqual(snapshotter.list("other"), []);
  });

  check("keeps parents, and refuses what does not fit", async ({ snapshotter }) => {
    await snapshotter.prepare(ns, "key", "", call);
    await assert.rejects(snapshotter.prepare(ns, "key", "", call), { code: "ALREADY_EXISTS" });
    await assert.rejects(snapshotter.prepare(ns, "x", "key", call), {
      code: "FAILED_PRECONDITION",
    });
    await assert.rejects(snapshotter.prepare(ns, "x", "none", call), { code: "NOT_FOUND" });
    await snapshotter.commit(ns, "name", "key", call);
    await snapshotter.prepare(ns, "child", "name", call);
    await assert.rejects(snapshotter.commit(ns, "name", "child", call), { code: "ALREADY_EXISTS" });
    await assert.rejects(snapshotter.commit(ns, "y", "name", call), {
      code: "FAILED_PRECONDITION",
    });
    await assert.rejects(snapshotter.remove(ns, "name", call), { code: "FAILED_PRECONDITION" });
    assert.throws(() => snapshotter.mounts(ns, "name"), { code: "FAILED_PRECONDITION" });
    assert.throws(() => snapshotter.stat(ns, "none"), { code: "NOT_FOUND" });
    await assert.rejects(snapshotter.remove(ns, "none", call), { code: "NOT_FOUND" });
    await snapshotter.remove(ns, "child", call);
    await snapshotter.remove(ns, "name", call);
    assert.deepEqual(snapshotter.list(ns), []);
  });

  check("lets one of many prepare a key", async ({ snapshotter }) => {
    const tries = Array.from({ length: 8 }, () => snapshotter.prepare(ns, "key", "", call));
    const done = await Promise.allSettled(tries);
    assert.equal(done.filter(({ status }) => status === "fulfilled").length, 1);
  });

  check(
    "lets one of many commit a name, and no other hears of it before it stands",
    async (made) => {
      const { snapshotter } = made;
      const keys = Array.from({ length: 6 }, (_, at) => `key ${at}`);
      for (const key of keys) await snapshotter.prepare(ns, key, "", call);
      const done = await Promise.allSettled(
        keys.map(async (key) => {
          try {
            await snapshotter.commit(ns, "name", key, call);
          } finally {
            assert.equal(snapshotter.stat(ns, "name").kind, "COMMITTED");
            await snapshotter.prepare(ns, `${key} child`, "name", call);
          }
        }),
      );
      assert.equal(done.filter(({ status }) => status === "fulfilled").length, 1);
      for (const one of done) {
        if (one.status === "rejected")
          assert.equal((one.reason as { code: string }).code, "ALREADY_EXISTS");
      }
    },
  );

  check("gives layers that were made side by side their parents at commit", async (made) => {
    const { snapshotter } = made;
    await layer(made, "base", "", { a: "base" });
    await snapshotter.prepare(ns, "alone", "", call);
    const parent = "base";
    await assert.rejects(snapshotter.commit(ns, "upper", "alone", { parent: "none", ...call }), {
      code: "NOT_FOUND",
    });
    await snapshotter.commit(ns, "upper", "alone", { parent, ...call });
    assert.equal(snapshotter.stat(ns, "upper").parent, "base");
    const mounts = await snapshotter.prepare(ns, "active", "upper", call);
    await inside(made, mounts, async (root) => {
      assert.equal(await readFile(path.join(root, "a"), "utf8"), "base");
    });
  });

  check("counts a snapshot's own disk use, hard links once", async (made) => {
    const { snapshotter } = made;
    await layer(made, "base", "", { a: "x".repeat(100_000) });
    const empty = await snapshotter.prepare(ns, "active", "base", call);
    const before = await snapshotter.usage(ns, "active", call);
    await inside(made, empty, async (root) => {
      await writeFile(path.join(root, "b"), "y".repeat(50_000));
      const { link } = await import("node:fs/promises");
      await link(path.join(root, "b"), path.join(root, "c"));
    });
    const after = await snapshotter.usage(ns, "active", call);
    const grown = after.sizeBytes - before.sizeBytes;
    assert.ok(grown >= 50_000n && grown < 75_000n, `grown by ${grown}`);
    assert.equal(after.inodes - before.inodes, 1n);
    const base = await snapshotter.usage(ns, "base", call);
    assert.ok(base.sizeBytes >= 100_000n);
  });

  check("is the same after a restart", async (made) => {
    await layer(made, "base", "", { a: "base" });
    await made.snapshotter.prepare(ns, "active", "base", call);
    const again = await made.reopen();
    assert.deepEqual(again.list(ns), made.snapshotter.list(ns));
    assert.deepEqual(again.mounts(ns, "active"), made.snapshotter.mounts(ns, "active"));
    await again.prepare(ns, "next", "base", call);
    assert.notDeepEqual(again.directories(ns, "next"), again.directories(ns, "active"));
  });

  check("mounts many layers", async (made) => {
    let parent = "";
    for (let at = 0; at < 60; at += 1) {
      await made.snapshotter.prepare(ns, `key ${at}`, parent, call);
      await made.snapshotter.commit(ns, `layer ${at}`, `key ${at}`, call);
      parent = `layer ${at}`;
    }
    const mounts = await made.snapshotter.prepare(ns, "active", parent, call);
    await inside(made, mounts, async (root) => {
      assert.ok(
        readFileSync("/proc/self/mountinfo", "utf8").includes(root.replaceAll(" ", "\\040")),
      );
      await writeFile(path.join(root, "file"), "x");
    });
  });
}
