// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { GuestNode } from "../guest/node.ts";
import { projectFolder } from "../plan.ts";

const lacks = existsSync(path.join(projectFolder, "vm/newer-runc")) ? false : "needs a newer runc";
const firstId = 1_000_000;
const ids = [{ containerId: 0, hostId: firstId, length: 65_536 }];
const securityContext = {
  namespaceOptions: {
    pid: "CONTAINER" as const,
    usernsOptions: { mode: "POD" as const, uids: ids, gids: ids },
  },
};

suite("user namespaces with systemd cgroups and AppArmor", { skip: lacks }, () => {
  const node = new GuestNode();
  const { cri } = node;
  let pod: Awaited<ReturnType<GuestNode["runPod"]>>;
  let id = "";
  const volume = "/var/lib/vm-volume";

  before(async () => {
    await mkdir(volume);
    await writeFile(path.join(volume, "there"), "x", { mode: 0o600 });
    await node.pull();
    pod = await node.runPod({ linux: { securityContext } }, "newer");
    id = await cri.startContainer(pod, node.image("shell"), ["sleep", "100000"], {
      linux: { securityContext, resources: { memoryLimitInBytes: 64n << 20n, oomScoreAdj: -500n } },
      mounts: [{ hostPath: volume, containerPath: "/volume", uidMappings: ids, gidMappings: ids }],
    });
  });
  after(() => node[Symbol.asyncDispose]());

  test("are told of by the handler that has them, and by it only", async () => {
    const { runtimeHandlers } = await cri.runtime.Status({});
    const has = (wanted: string): boolean | undefined =>
      runtimeHandlers.find(({ name }) => name === wanted)?.features?.userNamespaces;
    assert.deepEqual([has("newer"), has("runc")], [true, false]);
  });

  test("make root in the container nobody on the host", async () => {
    const { uid, gid } = await stat(`/proc/${await node.pidOf(id)}`);
    assert.deepEqual({ uid, gid }, { uid: firstId, gid: firstId });
    const { stdout } = await cri.exec(id, [
      "sh",
      "-c",
      "id -u; stat -c %u:%g / /etc/hosts /dev/shm /bin/sh | sort -u; cat /proc/self/cgroup",
    ]);
    assert.equal(stdout, "0\n0:0\n0::/\n");
  });

  test("map the owners in volumes", async () => {
    const { stdout } = await cri.exec(id, [
      "sh",
      "-c",
      "cat /volume/there; touch /volume/made; chown 7:8 /volume/made",
    ]);
    assert.equal(stdout, "x");
    const { uid, gid } = await stat(path.join(volume, "made"));
    assert.deepEqual({ uid, gid }, { uid: 7, gid: 8 });
  });

  test("leave cgroup, score and profile as other containers have them", async () => {
    assert.equal(await node.cgroupOf(id), `${pod.cgroup}/cri-containerd-${id}.scope`);
    const proc = `/proc/${await node.pidOf(id)}`;
    assert.equal((await readFile(`${proc}/oom_score_adj`, "utf8")).trim(), "-500");
    assert.match(await readFile(`${proc}/attr/current`, "utf8"), /\(enforce\)/);
  });

  test("a user on the host whom nobody mapped cannot be made", async () => {
    const { exitCode } = await cri.exec(id, ["chown", "70000", "/tmp"]);
    assert.notEqual(exitCode, 0);
  });
});
