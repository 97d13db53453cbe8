// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { plainHost, specOf } from "../../../test/support/spec-input.ts";
import { defaultConfig, defaultHandler } from "../../config/defaults.ts";
import { openRootfs } from "../../oci/rootfs/rootfs-reader.ts";
import type { SnapshotUsage } from "../../snapshots/ports.ts";
import { workHere } from "../../trees/run-here.ts";
import { rootfsPropagation } from "./mount-propagation.ts";

const kernel = ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup"];
const files = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/shm"];

const destinations = async (...args: Parameters<typeof specOf>) =>
  (await specOf(...args)).mounts.map(({ destination }) => destination);

test("a container has the kernel's file systems and its sandbox's files", async () => {
  assert.deepEqual(await destinations(), [...kernel, ...files]);
});

test("parents are mounted before children, and equals keep their order", async () => {
  const at = (containerPath: string) => ({ containerPath, hostPath: "/etc" });
  const config = { mounts: [at("/a/b/c"), at("/z"), at("/a"), at("/a/b")] };
  assert.deepEqual(await destinations({ config }), [
    ...kernel,
    "/z",
    "/a",
    "/a/b",
    ...files,
    "/a/b/c",
  ]);
});

test("a mount of the request takes the place of the sandbox's file and of a default", async () => {
  const config = {
    mounts: [
      { containerPath: "/etc/hosts", hostPath: "/etc/hosts" },
      { containerPath: "/sys", hostPath: "/sys", readonly: true },
    ],
  };
  const { mounts } = await specOf({ config });
  assert.equal(mounts.filter(({ destination }) => destination === "/etc/hosts").length, 1);
  assert.equal(
    mounts.find(({ destination }) => destination === "/etc/hosts")?.source,
    "/etc/hosts",
  );
  assert.deepEqual(
    mounts.filter(({ destination }) => destination === "/sys").map(({ type }) => type),
    ["bind"],
  );
});

test("a whole /dev drops every default below it", async () => {
  const places = await destinations({
    config: { mounts: [{ containerPath: "/dev", hostPath: "/dev" }] },
  });
  assert.deepEqual(
    places.filter((place) => place.startsWith("/dev")),
    ["/dev", "/dev/shm"],
  );
});

test("a read-only rootfs makes the pod's files read-only, but not /dev/shm", async () => {
  const spec = await specOf({ config: { linux: { securityContext: { readonlyRootfs: true } } } });
  const access = (place: string) =>
    spec.mounts.find(({ destination }) => destination === place)?.options?.at(-1);
  assert.deepEqual(files.map(access), ["ro", "ro", "ro", "rw"]);
  assert.equal(spec.root.readonly, true);
});

test("the host's IPC brings the host's /dev/shm", async () => {
  const pod = { linux: { securityContext: { namespaceOptions: { ipc: "NODE" as const } } } };
  const { mounts } = await specOf({ pod });
  assert.equal(mounts.find(({ destination }) => destination === "/dev/shm")?.source, "/dev/shm");
});

test("files that a sandbox does not have are left out", async () => {
  const none = { hostname: "", hosts: "", resolvConf: "", shm: "" };
  assert.deepEqual(await destinations({ files: none }), [
    ...kernel.slice(0, 3),
    "/dev/shm",
    ...kernel.slice(3),
  ]);
});

test("the cgroup tree is writable for privileged containers and where the handler says so on v2", async () => {
  const handler = { ...defaultHandler, cgroupWritable: true, privilegedWithoutHostDevices: true };
  const privileged = { linux: { securityContext: { privileged: true } } };
  const options = async (changes: Parameters<typeof specOf>[0]) => {
    const { mounts } = await specOf(changes);
    return ["/sys", "/sys/fs/cgroup"].map((place) => {
      const found = mounts.find(({ destination }) => destination === place);
      return found?.options?.filter((option) => option === "ro" || option === "rw").join();
    });
  };
  assert.deepEqual(await options({}), ["ro", "ro"]);
  assert.deepEqual(await options({ handler }), ["ro", "rw"]);
  assert.deepEqual(await options({ handler, host: { ...plainHost, cgroupVersion: 1 } }), [
    "ro",
    "ro",
  ]);
  assert.deepEqual(await options({ handler, pod: privileged, config: privileged }), ["rw", "rw"]);
});

test("rootfsPropagation rises to what the mounts want", async () => {
  assert.equal((await specOf()).linux.rootfsPropagation, undefined);
  assert.equal(rootfsPropagation(["rprivate"], undefined), undefined);
  assert.equal(rootfsPropagation(["rprivate", "rslave"], undefined), "rslave");
  assert.equal(rootfsPropagation(["rslave", "rshared"], undefined), "rshared");
  assert.equal(rootfsPropagation(["rslave"], "rshared"), "rshared");
});

test("image-defined volumes are filled from the image, unless a mount covers them or they are off", async () => {
  await using place = await scratch();
  const layer = await place.folder("layer");
  await mkdir(path.join(layer, "data"));
  await writeFile(path.join(layer, "data/seed"), "x");
  const changes = {
    imageConfig: { volumes: ["/data", "logs", "/covered"] },
    config: { mounts: [{ containerPath: "/covered", hostPath: "/etc" }] },
    rootfs: openRootfs(layer, { work: workHere() }),
    volumesDir: path.join(place.path, "volumes"),
  };
  const { mounts } = await specOf(changes);
  const data = mounts.find(({ destination }) => destination === "/data");
  assert.equal(await readFile(path.join(data?.source ?? "", "seed"), "utf8"), "x");
  assert.ok(mounts.some(({ destination }) => destination === "/logs"));
  assert.equal(mounts.filter(({ destination }) => destination === "/covered").length, 1);
  const cri = { ...defaultConfig.cri, ignoreImageDefinedVolumes: true };
  assert.ok(
    !(await specOf({ ...changes, cri })).mounts.some(({ destination }) => destination === "/data"),
  );
});

test("volumes of an image take no more than the image has, and are few", async () => {
  await using place = await scratch();
  const layer = await place.folder("layer");
  await mkdir(path.join(layer, "usr/in"), { recursive: true });
  await writeFile(path.join(layer, "usr/in/big"), Buffer.alloc(1_000_000, 1));
  for (let index = 0; index < 128; index += 1) {
    await symlink("/usr", path.join(layer, `to-usr-${index}`));
    await mkdir(path.join(layer, `empty-${index}`));
  }
  const imageUsage = async (): Promise<SnapshotUsage> => ({ sizeBytes: 1_000_000n, inodes: 259n });
  const many = (name: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `/${name}-${index}`);
  const tooMuch =
    /^volumes of the image hold more than 2 times what it has itself, at "\/to-usr-\d+"$/;
  const rows: readonly (readonly [string, readonly string[], RegExp | undefined])[] = [
    ["a folder in another", ["/usr", "/usr/in"], undefined],
    ["128 empty ones", many("empty", 128), undefined],
    ["129", many("empty", 129), /^image declares 129 volumes, more than 128$/],
    ["links to one folder", many("to-usr", 128), tooMuch],
  ];
  for (const [name, volumes, message] of rows) {
    const volumesDir = path.join(place.path, name);
    const rootfs = openRootfs(layer, { work: workHere() });
    const made = specOf({ imageConfig: { volumes }, rootfs, volumesDir, imageUsage });
    if (message === undefined) {
      const { mounts } = await made;
      assert.equal(
        mounts.filter(({ source }) => source?.startsWith(volumesDir)).length,
        volumes.length,
      );
    } else await assert.rejects(made, { code: "FAILED_PRECONDITION", message }, name);
  }
});

test("many empty files in a volume count as well", async () => {
  await using place = await scratch();
  const layer = await place.folder("layer");
  await mkdir(path.join(layer, "usr"));
  for (let index = 0; index < 400; index += 1)
    await writeFile(path.join(layer, `usr/${index}`), "");
  const volumes = Array.from({ length: 10 }, (_, index) => `/to-usr-${index}`);
  for (const volume of volumes) await symlink("/usr", path.join(layer, volume));
  const made = specOf({
    imageConfig: { volumes },
    rootfs: openRootfs(layer, { work: workHere() }),
    volumesDir: path.join(place.path, "volumes"),
    imageUsage: async () => ({ sizeBytes: 8192n, inodes: 412n }),
  });
  await assert.rejects(made, { code: "FAILED_PRECONDITION", message: /at "\/to-usr-4"$/ });
});
