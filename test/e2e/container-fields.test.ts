// SPDX-License-Identifier: Apache-2.0
// What a request may say of a container since CRI 0.37, through the socket: that it holds, is told, and is refused by name.
import assert from "node:assert/strict";
import { mkdir, readlink } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { type FaultCode, isFault } from "../../src/base/errors.ts";
import type {
  ContainerConfigInit,
  LinuxContainerSecurityContextInit,
} from "../../src/gen/cri.gen.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

/** Of cgroup v1 a controller's tree, of v2 the one there is. */
const tryToWrite = `
  for tree in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    if [ -e $tree/cgroup.procs ]; then mkdir $tree/new; fi
  done`;

suite("fields of containers", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let volume: string;
  const start = (change: ContainerConfigInit): Promise<string> =>
    cri.startContainer(pod, bed.images.shell.reference, ["sleep", "100000"], change);
  const security = (securityContext: LinuxContainerSecurityContextInit): ContainerConfigInit => ({
    linux: { securityContext },
  });
  const mount = (...mountOptions: string[]) => ({
    mounts: [{ hostPath: volume, containerPath: "/volume", mountOptions }],
  });

  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    volume = path.join(bed.daemon.folder, "volume");
    await mkdir(volume);
    pod = await cri.runPod();
  });
  after(() => bed?.finish());

  test("Status tells what a container may ask for", async () => {
    const { features, runtimeHandlers } = await cri.runtime.Status({});
    assert.deepEqual([features?.mountOptions, features?.cgroupMountMode], [true, true]);
    for (const { features } of runtimeHandlers) assert.equal(features?.cgroupNamespaces, true);
  });

  test("a container has a cgroup namespace of its own, or the node's, as it asks", async () => {
    const linked = async (mode: "CONTAINER" | "NODE"): Promise<string> => {
      const namespaceOptions = { pid: "CONTAINER" as const, cgroupnsOptions: { mode } };
      const id = await start({
        linux: {
          securityContext: { namespaceOptions, cgroupMountMode: "CGROUP_MOUNT_MODE_READ_ONLY" },
        },
      });
      const write = await cri.exec(id, ["sh", "-c", tryToWrite]);
      assert.match(write.stderr, /[Rr]ead-only/);
      return (await cri.exec(id, ["readlink", "/proc/1/ns/cgroup"])).stdout.trim();
    };
    const ofNode = await readlink("/proc/self/ns/cgroup");
    assert.equal(await linked("NODE"), ofNode);
    const own = await linked("CONTAINER");
    assert.ok(own.startsWith("cgroup:[") && own !== ofNode, own);
  });

  test("a mount has its options, and its status tells them, after a restart too", async () => {
    const options = ["noexec", "nodev", "nosuid"];
    const id = await start(mount(...options));
    const { stdout } = await cri.exec(id, ["sh", "-c", "grep ' /volume ' /proc/mounts"]);
    const [, , , flags = ""] = stdout.split(" ");
    assert.deepEqual(
      options.filter((option) => !flags.split(",").includes(option)),
      [],
    );
    const script = "cp /bin/busybox /volume/run && /volume/run true";
    const { exitCode, stderr } = await cri.exec(id, ["sh", "-c", script]);
    assert.deepEqual([exitCode, /denied/.test(stderr)], [126, true], stderr);
    await bed.daemon.stop();
    await bed.daemon.start();
    const [told] = (await cri.status(id)).mounts;
    assert.deepEqual(told?.mountOptions, options);
  });

  const refusals: readonly {
    readonly name: string;
    readonly change: (fixture: { mount: typeof mount }) => ContainerConfigInit;
    readonly code: FaultCode;
    readonly message: RegExp;
  }[] = [
    {
      name: "a mount option that there is not",
      change: ({ mount }) => mount("noexec", "turbo"),
      code: "INVALID_ARGUMENT",
      message: /^mounts\[0\]\.mount_options\[1\]: "turbo" of the mount at "\/volume"/,
    },
    {
      name: "a mount option that its fields contradict",
      change: ({ mount }) => mount("ro"),
      code: "INVALID_ARGUMENT",
      message: /^mounts\[0\]\.mount_options\[0\]: "ro" of the mount at "\/volume" contradicts/,
    },
    {
      name: "a cgroup namespace of the pod's",
      change: () => security({ namespaceOptions: { cgroupnsOptions: { mode: "POD" } } }),
      code: "INVALID_ARGUMENT",
      message: /cgroupns_options\.mode: POD is not supported/,
    },
    {
      name: "a writable cgroup tree in the node's namespace",
      change: () =>
        security({
          cgroupMountMode: "CGROUP_MOUNT_MODE_READ_WRITE",
          namespaceOptions: { cgroupnsOptions: { mode: "NODE" } },
        }),
      code: "INVALID_ARGUMENT",
      message: /cgroup_mount_mode: CGROUP_MOUNT_MODE_READ_WRITE cannot be in the node's/,
    },
  ];
  for (const { name, change, code, message } of refusals) {
    test(`refuses ${name}`, async () => {
      await assert.rejects(start(change({ mount })), (error) => {
        assert.ok(isFault(error, code), String(error));
        assert.match(error.message, message);
        return true;
      });
    });
  }
});
