// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import type { LinuxContainerSecurityContextInit } from "../../../src/gen/cri.gen.ts";
import { GuestNode } from "../guest/node.ts";

const readWrite = "CGROUP_MOUNT_MODE_READ_WRITE";

suite("how containers see cgroup v2", () => {
  const node = new GuestNode();
  const { cri } = node;
  let pod: Awaited<ReturnType<GuestNode["runPod"]>>;
  const start = (securityContext: LinuxContainerSecurityContextInit): Promise<string> =>
    cri.startContainer(pod, node.image("shell"), ["sleep", "100000"], {
      linux: { securityContext },
    });
  const sh = async (id: string, script: string): Promise<string> => {
    const { stdout, stderr } = await cri.exec(id, ["sh", "-c", script]);
    return `${stdout}${stderr}`.trim();
  };

  before(async () => {
    await node.pull();
    pod = await node.runPod({ linux: { securityContext: { privileged: true } } });
  });
  after(() => node[Symbol.asyncDispose]());

  test("each handler has cgroup namespaces", async () => {
    const { features, runtimeHandlers } = await cri.runtime.Status({});
    assert.equal(features?.cgroupMountMode, true);
    assert.deepEqual(
      runtimeHandlers.filter((it) => !it.features?.cgroupNamespaces),
      [],
    );
  });

  test("a writable tree lets a container make cgroups, and not lift its own limits", async () => {
    const id = await start({ cgroupMountMode: readWrite });
    assert.equal(await sh(id, "cat /proc/self/cgroup"), "0::/");
    assert.equal(await sh(id, "cd /sys/fs/cgroup && mkdir sub && rmdir sub && echo made"), "made");
    assert.doesNotMatch(await sh(id, "echo 5 > /sys/fs/cgroup/pids.max && echo lifted"), /lifted/);
  });

  test("a read-only tree lets it make none", async () => {
    const id = await start({ cgroupMountMode: "CGROUP_MOUNT_MODE_READ_ONLY" });
    assert.match(await sh(id, "mkdir /sys/fs/cgroup/sub"), /[Rr]ead-only/);
  });

  test("the node's namespace shows where a container is, read-only", async () => {
    const id = await start({ namespaceOptions: { cgroupnsOptions: { mode: "NODE" } } });
    assert.match(await sh(id, "cat /proc/self/cgroup"), /^0::\/kubepods\.slice\//);
    assert.match(await sh(id, "mkdir /sys/fs/cgroup/berth-sub"), /[Rr]ead-only/);
  });

  test("a privileged container has a namespace of its own when it asks, else the node's", async () => {
    const own = await start({
      privileged: true,
      namespaceOptions: { cgroupnsOptions: { mode: "CONTAINER" } },
    });
    assert.equal(await sh(own, "cat /proc/self/cgroup"), "0::/");
    const shared = await start({ privileged: true });
    assert.match(await sh(shared, "cat /proc/self/cgroup"), /^0::\/kubepods\.slice\//);
    assert.equal(
      await sh(
        shared,
        "mkdir /sys/fs/cgroup/berth-sub && rmdir /sys/fs/cgroup/berth-sub && echo made",
      ),
      "made",
    );
  });

  test("no container takes nsdelegate from the host's tree", async () => {
    const mounts = await readFile("/proc/mounts", "utf8");
    assert.match(mounts, /^\S+ \/sys\/fs\/cgroup cgroup2 \S*nsdelegate/m);
    await start({ cgroupMountMode: readWrite });
  });
});
