// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { ContainerConfigInit, PodSandboxConfigInit } from "../../src/gen/cri.gen.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { newerRuncOrReason } from "../support/newer-runc.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { processInfo } from "../support/processes.ts";
import { must } from "../support/run.ts";
import { isSandboxInShim } from "../support/sandbox-mode.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const lacks = lacking(...podPrograms, "apt-get", "dpkg-deb");
const runc = lacks === false ? await newerRuncOrReason() : { skip: lacks };

const firstId = 1_000_000;
const ids = (hostId: number) => [{ containerId: 0, hostId, length: 65_536 }];
const inUserNamespace = (hostId: number) => ({
  namespaceOptions: {
    pid: "CONTAINER" as const,
    usernsOptions: { mode: "POD" as const, uids: ids(hostId), gids: ids(hostId) },
  },
});

suite("user namespaces", { skip: runc.skip }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  const forever = ["sleep", "100000"];
  const runPod = (
    hostId: number,
    handler = "newer",
    change: PodSandboxConfigInit["linux"] = {},
  ): Promise<RunningPod> => {
    const { cgroupParent } = cri.settings;
    const securityContext = inUserNamespace(hostId);
    return cri.runPod({ linux: { cgroupParent, securityContext, ...change } }, handler);
  };
  const start = (
    image: "shell" | "worker",
    command: readonly string[],
    change: ContainerConfigInit = {},
    where = pod,
    hostId = firstId,
  ): Promise<string> =>
    cri.startContainer(where, bed.images[image].reference, command, {
      linux: { securityContext: inUserNamespace(hostId) },
      ...change,
    });
  const shell = async (id: string, script: string): Promise<string> => {
    const { stdout, stderr, exitCode } = await cri.exec(id, ["sh", "-c", script]);
    assert.equal(exitCode, 0, stderr);
    return stdout.trim();
  };

  before(async () => {
    const handler = { binary_name: runc.skip === false ? runc.binary : "" };
    bed = await openTestbed({ config: { runtime: { handlers: { newer: handler } } } });
    ({ cri } = bed);
    pod = await runPod(firstId, "newer", {
      sysctls: { "net.ipv4.ip_unprivileged_port_start": "77" },
    });
  });
  after(() => bed?.finish());

  test("are offered by the handler whose OCI runtime has them", async () => {
    const { runtimeHandlers } = await cri.runtime.Status({});
    const features = runtimeHandlers.find(({ name }) => name === "newer")?.features;
    assert.equal(features?.userNamespaces, true);
  });

  test("make root in a container nobody on the host", async () => {
    const id = await start("shell", forever);
    assert.equal(
      await shell(id, "id -u; id -g; cat /proc/self/uid_map | tr -s ' '"),
      "0\n0\n 0 1000000 65536",
    );
    const { info } = await cri.runtime.ContainerStatus({ containerId: id, verbose: true });
    const { pid } = JSON.parse(info["info"] ?? "{}") as { pid: number };
    const { uid, gid } = await stat(`/proc/${pid}`);
    assert.deepEqual({ uid, gid }, { uid: firstId, gid: firstId });
  });

  test("hold the sandbox's own process, whoever starts it", async () => {
    const { info } = await cri.runtime.PodSandboxStatus({ podSandboxId: pod.id, verbose: true });
    const { pid } = JSON.parse(info["info"] ?? "{}") as { pid: number };
    const [map, status] = ["uid_map", "status"].map((name) =>
      readFileSync(`/proc/${pid}/${name}`, "utf8"),
    );
    assert.match(map ?? "", /^\s*0\s+1000000\s+65536$/m);
    const user = firstId + 65_535;
    assert.match(status ?? "", RegExp(`^Uid:${`\t${user}`.repeat(4)}$`, "m"));
    assert.match(status ?? "", /^CapEff:\t0+$/m);
    assert.equal(processInfo(pid)?.ppid === bed.daemon.pid(), !isSandboxInShim);
  });

  test("show the image's files and the pod's own as root's, to write to", async () => {
    const id = await start("shell", forever);
    const files = "/ /etc /bin/sh /etc/hostname /etc/hosts /etc/resolv.conf /dev/shm";
    assert.equal(await shell(id, `stat -c %u:%g ${files} | sort -u`), "0:0");
    await shell(
      id,
      "echo x > /etc/new; echo x >> /etc/hosts; echo x > /dev/shm/new; chown 5 /etc/new",
    );
    assert.equal(await shell(id, "stat -c %u:%g /etc/new"), "5:0");
  });

  test("give the pod a network that is its own to use", async () => {
    const id = await start("shell", forever);
    assert.equal(await shell(id, "ls /sys/class/net | tr '\\n' ' '"), "eth0 lo");
    assert.equal(await shell(id, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "77");
    assert.match(await shell(id, "ip address show eth0"), /inet 10\./);
  });

  test("let a user open the streams that the container has", async () => {
    const id = await start("worker", [
      "sh",
      "-c",
      "echo out > /dev/stdout; echo err > /dev/stderr",
    ]);
    await cri.reaches(id, "CONTAINER_EXITED");
    const log = await until("the log has both lines", async () => {
      const text = await cri.logOf(id);
      assert.match(text, /stdout F out/);
      assert.match(text, /stderr F err/);
      return text;
    });
    assert.equal(log.trim().split("\n").length, 2);
  });

  test("map the owners in volumes, as the request asks", async () => {
    const volume = path.join(bed.folder, "volume of a pod");
    await mkdir(volume);
    await writeFile(path.join(volume, "there"), "x", { mode: 0o600 });
    const mapped = { uidMappings: ids(firstId), gidMappings: ids(firstId) };
    const id = await start("shell", forever, {
      mounts: [{ hostPath: volume, containerPath: "/volume", ...mapped }],
    });
    assert.equal(await shell(id, "cat /volume/there; stat -c ' %u' /volume/there"), "x 0");
    await shell(id, "touch /volume/made; chown 7:8 /volume/made");
    const { uid, gid } = await stat(path.join(volume, "made"));
    assert.deepEqual({ uid, gid }, { uid: 7, gid: 8 });
  });

  test("tell of a volume whose file system has no mapped mounts", async (t) => {
    const volume = path.join(bed.folder, "ramfs");
    await mkdir(volume);
    await must("mount", ["-t", "ramfs", "ramfs", volume]);
    t.after(() => must("umount", ["-l", volume]));
    const mapped = { uidMappings: ids(firstId), gidMappings: ids(firstId) };
    const mounts = [{ hostPath: volume, containerPath: "/volume", ...mapped }];
    await assert.rejects(start("shell", forever, { mounts }), { message: /IDMAP.*ramfs/ });
  });

  test("fill volumes that an image declares, and mount image volumes, with owners inside", async () => {
    const id = await start("worker", forever, {
      mounts: [
        {
          image: { image: bed.images.worker.reference },
          containerPath: "/image",
          readonly: true,
        },
      ],
    });
    assert.equal(await shell(id, "stat -c %u:%g /data"), "0:0");
    assert.equal(
      await shell(id, "stat -c %u:%g /image /image/home/worker /image/etc/passwd"),
      "0:0\n1000:2000\n0:0",
    );
  });

  test("are side by side on one image, and over a restart of the daemon", async () => {
    const other = await runPod(2_000_000);
    const [first, second] = [
      await start("shell", forever),
      await start("shell", forever, {}, other, 2_000_000),
    ];
    await bed.daemon.stop();
    await bed.daemon.start();
    for (const [id, where, hostId] of [
      [first, pod, firstId],
      [second, other, 2_000_000],
    ] as const) {
      assert.match(await shell(id, "cat /proc/self/uid_map"), new RegExp(`\\b${hostId}\\b`));
      const later = await start("shell", forever, {}, where, hostId);
      assert.equal(await shell(later, "stat -c %u:%g /bin/sh"), "0:0");
    }
    await cri.removePod(other.id);
  });

  test("that a crash has left without a pod go at the next start", async () => {
    await bed.daemon.stop();
    const folder = path.join(bed.daemon.territory.state, "netns");
    for (const [name, kind] of [
      ["leftover", "net"],
      ["leftover.user", "user"],
    ] as const) {
      const file = path.join(folder, name);
      await writeFile(file, "");
      await must("mount", ["--bind", `/proc/self/ns/${kind}`, file]);
    }
    await bed.daemon.start();
    await until("the leftovers are gone", async () => {
      const names = (await readdir(folder)).sort();
      assert.deepEqual(names, [pod.id, `${pod.id}.user`]);
      return names;
    });
  });

  test("go with the node's network", async () => {
    const { features } = await cri.runtime.Status({});
    assert.equal(features?.userNamespacesHostNetwork, true);
    const { namespaceOptions } = inUserNamespace(firstId);
    const securityContext = { namespaceOptions: { ...namespaceOptions, network: "NODE" as const } };
    const where = await runPod(firstId, "newer", { securityContext });
    const id = await start("shell", forever, { linux: { securityContext } }, where);
    assert.match(await shell(id, "cat /proc/self/uid_map"), /\b1000000\b/);
    assert.match(await shell(id, "ls /sys/class/net"), new RegExp(bed.daemon.network.bridge));
    assert.match((await cri.exec(id, ["touch", "/sys/x"])).stderr, /Read-only/);
    await cri.removePod(where.id);
  });

  test("leave no mount of layers behind", async () => {
    const table = await readFile("/proc/self/mountinfo", "utf8");
    const own = bed.daemon.folder.replaceAll(" ", "\\040");
    const left = table.split("\n").filter((line) => line.includes(`${own}/root/mapped-mounts`));
    assert.deepEqual(
      left.map((line) => line.split(" ")[4]).filter((at) => at?.includes("mapped")),
      [],
    );
  });

  test("are refused where they cannot be", async () => {
    await assert.rejects(runPod(firstId, "runc"), {
      code: "FAILED_PRECONDITION",
      message: /the runtime handler cannot run user namespaces/,
    });
    await assert.rejects(start("shell", forever, {}, pod, firstId + 1), {
      code: "INVALID_ARGUMENT",
      message: /differs from the sandbox's user namespace/,
    });
  });
});
