// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { inRoot, inState, layoutOf } from "./layout.ts";

test("what a daemon has kept, the next one finds at the same path", () => {
  assert.deepEqual(layoutOf({ root: "/var/lib/berthd", state: "/run/berthd" }), {
    root: "/var/lib/berthd",
    database: "/var/lib/berthd/meta.db",
    serverId: "/var/lib/berthd/uuid",
    content: "/var/lib/berthd/content",
    blobs: "/var/lib/berthd/content/blobs",
    snapshots: "/var/lib/berthd/snapshots",
    overlayfs: "/var/lib/berthd/snapshots/overlayfs",
    native: "/var/lib/berthd/snapshots/native",
    criDurable: "/var/lib/berthd/io.berth.cri",
    work: "/var/lib/berthd/io.containerd.runtime.v2.task",
    networks: "/var/lib/berthd/cni",
    defaultRuntime: "/var/lib/berthd/default-runtime.json",
    unseenCrun: "/var/lib/berthd/crun/crun",
    pause: "/var/lib/berthd/pause",
    checkpoints: "/var/lib/berthd/checkpoints",
    checkpointMounts: "/var/lib/berthd/checkpoint-mounts",
    diffMounts: "/var/lib/berthd/diff",
    migration: "/var/lib/berthd/migration.json",
    mappedMounts: "/var/lib/berthd/mapped-mounts",
    state: "/run/berthd",
    socket: "/run/berthd/berthd.sock",
    fifos: "/run/berthd/fifo",
    netns: "/run/berthd/netns",
    criVolatile: "/run/berthd/io.berth.cri",
    bundles: "/run/berthd/io.containerd.runtime.v2.task",
    runtimeTrials: "/run/berthd/runtime-trials",
    nriPlugins: "/run/berthd/nri-plugins",
    madeCgroups: "/run/berthd/made-cgroups",
    apparmorStamp: "/run/berthd/apparmor-profile",
  });
});

const src = path.resolve(import.meta.dirname, "..");
const names = Object.values({ ...inRoot, ...inState }).flatMap(({ at }) => at.split("/"));
const literal = `["'\`](?:${[...new Set(names)].filter(Boolean).join("|").replaceAll(".", "\\.")})["'\`/]`;
/** A name joined to something that is called root or state; or one of ours, joined to anything. */
const ways = [
  /(?:join|resolve)\([^,()]*(?:root|state)\s*,\s*["'`]/i,
  /\$\{[^}]*\b(?:root|state)\}\/[\w-]/,
  new RegExp(`(?:join|resolve)\\([^()]*,\\s*${literal}`),
];
/** Those whose root is another folder, or that have a file of such a name in a folder of their own. */
const others: readonly string[] = [
  "content/content-store.ts",
  "content/ingest.ts",
  "cri/oci-spec/apparmor/profile-kernel.ts",
  "cri/oci-spec/host-facts.ts",
  "cri/paths.ts",
  "doctor/leftovers/folders.ts",
  "doctor/leftovers/known.ts",
  "images/unpack/unpacker.ts",
  "migration/kubelet-setting.ts",
  "migration/node-setting.ts",
  "pause/pause-rootfs.ts",
  "runtime/death/leftover-processes.ts",
  "snapshots/overlayfs/owner-mapping.ts",
  "snapshots/snapshot-folders.ts",
];

test("no other file joins names to root or to state", () => {
  const files = globSync("**/*.ts", { cwd: src }).filter((file) => !file.endsWith(".test.ts"));
  const joining = files.filter((file) => {
    const text = readFileSync(path.join(src, file), "utf8");
    return ways.some((way) => way.test(text));
  });
  assert.deepEqual(joining.toSorted(), others);
});
