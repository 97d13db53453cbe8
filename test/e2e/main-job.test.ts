// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { isFault } from "../../src/base/errors.ts";
import { linesOf, parseCriLog } from "../support/cri-log.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { namespaceOf, processes, processesInCgroup, shimsOf } from "../support/processes.ts";
import { freePort } from "../support/registry.ts";
import { must } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

suite("main job over gRPC", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let shell: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    shell = bed.images.shell.reference;
  });
  after(() => bed?.finish());

  test("Version and Status say what a kubelet asks for", async () => {
    const version = await cri.runtime.Version({});
    assert.equal(version.runtimeApiVersion, "v1");
    assert.ok(version.runtimeName !== "" && version.runtimeVersion !== "");
    const { status, runtimeHandlers } = await cri.runtime.Status({});
    const conditions = new Map(status?.conditions.map((it) => [it.type, it]));
    assert.equal(conditions.get("RuntimeReady")?.status, true);
    assert.equal(conditions.get("NetworkReady")?.status, true);
    assert.ok(
      runtimeHandlers.some(({ name }) => name === ""),
      "the default handler is also listed under the empty name",
    );
    const config = await cri.runtime.RuntimeConfig({});
    assert.equal(config.linux?.cgroupDriver, "CGROUPFS");
    // As containerd's CRI names them, for clients that look there.
    const { info } = await cri.runtime.Status({ verbose: true });
    const told = JSON.parse(info["config"] ?? "{}") as Record<string, unknown>;
    assert.equal(told["maxContainerLogLineSize"], 16_384);
    assert.equal(told["containerdEndpoint"], bed.daemon.socket);
    assert.deepEqual([told["rootDir"], told["stateDir"]], [told["root"], told["state"]]);
  });

  test("a pod runs from image to removal and leaves nothing", async () => {
    const pod = await cri.runPod();
    const podStatus = await cri.podStatus(pod.id);
    assert.equal(podStatus.state, "SANDBOX_READY");
    assert.deepEqual(podStatus.metadata, pod.config.metadata);
    assert.deepEqual(podStatus.annotations, pod.config.annotations);
    assert.ok(podStatus.createdAt > 0n);
    assert.ok(podStatus.network?.ip.startsWith(bed.daemon.network.subnet.slice(0, -4)));

    const containerId = await cri.createContainer(pod, shell, [
      "sh",
      "-c",
      "echo out; echo err >&2; trap 'exit 3' TERM; sleep 100000 & wait",
    ]);
    assert.equal((await cri.status(containerId)).state, "CONTAINER_CREATED");
    await cri.runtime.StartContainer({ containerId });
    const running = await cri.status(containerId);
    assert.equal(running.state, "CONTAINER_RUNNING");
    assert.ok(running.startedAt >= running.createdAt && running.createdAt > 0n);
    assert.equal(running.image?.image, shell);
    assert.equal(running.imageId, bed.images.shell.id);
    assert.equal(
      running.logPath,
      path.join(pod.config.logDirectory!, `${running.metadata!.name}.log`),
    );
    const { containers } = await cri.runtime.ListContainers({
      filter: { podSandboxId: pod.id.slice(0, 13) },
    });
    assert.deepEqual(
      containers.map(({ id, state, podSandboxId }) => ({ id, state, podSandboxId })),
      [{ id: containerId, state: "CONTAINER_RUNNING", podSandboxId: pod.id }],
    );

    const log = await until("both lines are in the log", async () => {
      const text = await cri.logOf(containerId);
      return parseCriLog(text).length === 2 && text;
    });
    assert.deepEqual(linesOf(log, "stdout"), ["out"]);
    assert.deepEqual(linesOf(log, "stderr"), ["err"]);

    await cri.runtime.StopContainer({ containerId, timeout: 10n });
    const stopped = await cri.status(containerId);
    assert.deepEqual(
      { state: stopped.state, exitCode: stopped.exitCode, reason: stopped.reason },
      { state: "CONTAINER_EXITED", exitCode: 3, reason: "Error" },
    );
    assert.ok(stopped.finishedAt >= running.startedAt);
    await cri.runtime.RemoveContainer({ containerId });
    await assert.rejects(cri.status(containerId), (error) => isFault(error, "NOT_FOUND"));

    await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_NOTREADY");
    await cri.runtime.RemovePodSandbox({ podSandboxId: pod.id });
    await assert.rejects(cri.podStatus(pod.id), (error) => isFault(error, "NOT_FOUND"));
    await nothingLeft(bed.daemon.territory, { timeoutMs: 5_000 });
  });

  test("exit codes and reasons are the process's own", async () => {
    const pod = await cri.runPod();
    const cases = [
      { name: "ok", command: ["true"], exitCode: 0, reason: "Completed" },
      { name: "three", command: ["sh", "-c", "exit 3"], exitCode: 3, reason: "Error" },
      {
        name: "told 137",
        command: ["sh", "-c", "sh -c 'kill -9 $$'; exit $?"],
        exitCode: 137,
        reason: "Error",
      },
    ];
    for (const { name, command, exitCode, reason } of cases) {
      const id = await cri.startContainer(pod, shell, command, { metadata: { name, attempt: 0 } });
      const status = await cri.reaches(id, "CONTAINER_EXITED");
      assert.deepEqual([status.exitCode, status.reason], [exitCode, reason], name);
      assert.ok(status.finishedAt >= status.startedAt && status.startedAt > 0n, name);
    }
    const killed = await cri.startContainer(pod, shell, ["sleep", "4801"]);
    // A start is answered before runc's process has become the container's.
    const [doomed] = await until("it runs", () => {
      const found = processesInCgroup(cri.settings.cgroupParent);
      const own = found.filter(({ argv }) => argv.includes("4801"));
      return own.length > 0 && own;
    });
    process.kill(doomed!.pid, "SIGKILL");
    assert.equal((await cri.reaches(killed, "CONTAINER_EXITED")).exitCode, 137);
    const id = await cri.startContainer(pod, bed.images.failing.reference, []);
    const failed = await cri.reaches(id, "CONTAINER_EXITED");
    assert.equal(failed.exitCode, 7);
    assert.deepEqual(linesOf(await cri.logOf(id), "stderr"), ["broken"]);
    await cri.removePod(pod.id);
  });

  test("the image's user, volumes, folder, environment and stop signal hold", async () => {
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, bed.images.worker.reference, []);
    const lines = await until("three lines", async () => {
      const found = linesOf(await cri.logOf(id));
      return found.length >= 3 && found;
    });
    assert.match(lines[0]!, /^uid=1000\(worker\) gid=2000\(workers\) groups=.*3000\(extra\)/);
    assert.deepEqual(lines.slice(1), ["/home/worker", "role=worker"]);
    const exec = await cri.exec(id, ["sh", "-c", "test -d /data && echo data"]);
    assert.equal(exec.stdout, "data\n");
    // The image says SIGUSR1, which sleep as process 1 leaves by only when it is delivered: it is
    // not, to a namespace's init without a handler. So the grace period passes and SIGKILL ends it.
    await cri.runtime.StopContainer({ containerId: id, timeout: 1n });
    assert.equal((await cri.status(id)).exitCode, 137);
    await cri.removePod(pod.id);
  });

  test("all containers of a pod live on one shim and in its namespaces", async () => {
    const pod = await cri.runPod();
    const ids = await Promise.all(
      ["a", "b", "c"].map((name) =>
        cri.startContainer(pod, shell, forever, { metadata: { name, attempt: 0 } }),
      ),
    );
    assert.equal(shimsOf(bed.daemon.socket).length, 1);
    const inside = processesInCgroup(bed.daemon.territory.cgroupParent);
    const network = new Set(inside.map(({ pid }) => namespaceOf(pid, "net")));
    assert.equal(network.size, 1, "one network namespace");
    assert.ok(!network.has(namespaceOf(process.pid, "net")), "and not the host's");
    const hostnames = await Promise.all(ids.map((id) => cri.exec(id, ["hostname"])));
    assert.deepEqual(
      hostnames.map(({ stdout }) => stdout.trim()),
      ids.map(() => pod.config.hostname),
    );
    const files = await cri.exec(ids[0]!, ["cat", "/etc/resolv.conf", "/etc/hosts"]);
    assert.match(files.stdout, /nameserver 10\.0\.0\.10/);
    assert.match(files.stdout, /search cluster\.local/);
    assert.match(files.stdout, /options ndots:5/);
    const shm = await cri.exec(ids[0]!, ["df", "-k", "/dev/shm"]);
    assert.match(shm.stdout, /65536/);
    await cri.removePod(pod.id);
  });

  test("containers of a pod reach each other on localhost, pods each other by address", async () => {
    const server = ["sh", "-c", "mkdir /w; echo hello > /w/index.html; httpd -f -p 8080 -h /w"];
    const first = await cri.runPod();
    await cri.startContainer(first, shell, server);
    const client = await cri.startContainer(first, shell, forever);
    const get = (id: string, host: string) =>
      until(`${host} answers`, async () => {
        const { stdout } = await cri.exec(id, ["wget", "-q", "-O", "-", `http://${host}:8080/`]);
        return stdout === "hello\n" && stdout;
      });
    await get(client, "127.0.0.1");
    const second = await cri.runPod();
    const other = await cri.startContainer(second, shell, forever);
    await get(other, (await cri.podStatus(first.id)).network!.ip);
    await cri.removePod(first.id);
    await cri.removePod(second.id);
  });

  test("a host port leads to the pod and goes with it", async () => {
    const hostPort = await freePort();
    const pod = await cri.runPod({
      portMappings: [{ protocol: "TCP", containerPort: 8080, hostPort }],
    });
    await cri.startContainer(pod, shell, [
      "sh",
      "-c",
      "mkdir /w; echo hello > /w/index.html; httpd -f -p 8080 -h /w",
    ]);
    // Counters, ids and the names of chains have digits, too.
    const rule = new RegExp(`^-A .*port[s:]? ${hostPort}\\b`);
    const rulesOfPort = async (): Promise<string[]> =>
      (await must("iptables-save", [])).split("\n").filter((line) => rule.test(line));
    assert.notDeepEqual(await rulesOfPort(), [], "rules name the port");
    const address = (await cri.podStatus(pod.id)).network!.ip;
    const reached = await until("the host port answers", async () => {
      // From the host itself: DNAT in OUTPUT, for an address of this machine that is not loopback.
      const gateway = address.replace(/\.\d+$/, ".1");
      const answer = await fetch(`http://${gateway}:${hostPort}/`);
      return answer.text();
    });
    assert.equal(reached, "hello\n");
    await cri.removePod(pod.id);
    assert.deepEqual(await rulesOfPort(), []);
  });

  test("a hostNetwork pod has the host's network and no address of its own", async () => {
    const linux = {
      cgroupParent: cri.settings.cgroupParent,
      securityContext: { namespaceOptions: { network: "NODE", pid: "CONTAINER" } },
    } as const;
    await assert.rejects(cri.runPod({ hostname: "not-the-host", linux }), {
      code: "INVALID_ARGUMENT",
    });
    const pod = await cri.runPod({ linux });
    const status = await cri.podStatus(pod.id);
    assert.equal(status.network?.ip ?? "", "");
    assert.equal(status.linux?.namespaces?.options?.network, "NODE");
    const id = await cri.startContainer(pod, shell, forever, {
      linux: { securityContext: { namespaceOptions: { network: "NODE", pid: "CONTAINER" } } },
    });
    const { stdout } = await cri.exec(id, ["readlink", "/proc/self/ns/net"]);
    assert.equal(stdout.trim(), namespaceOf(process.pid, "net"));
    const names = await cri.exec(id, ["sh", "-c", "hostname; cat /etc/hostname; echo $HOSTNAME"]);
    assert.equal(names.stdout, `${os.hostname()}\n`.repeat(3));
    const hosts = await cri.exec(id, ["cat", "/etc/hosts"]);
    assert.equal(hosts.stdout, await readFile("/etc/hosts", "utf8"));
    await cri.removePod(pod.id);
  });

  test("mounts, environment, arguments and limits arrive in the container", async () => {
    const pod = await cri.runPod();
    const file = path.join(bed.folder, "a file");
    await writeFile(file, "from the host\n");
    const id = await cri.startContainer(pod, shell, forever, {
      workingDir: "/tmp",
      envs: [{ key: "GREETING", value: Buffer.from('grüße = "x"') }],
      mounts: [
        { hostPath: bed.folder, containerPath: "/in", readonly: true },
        { hostPath: file, containerPath: "/out file" },
      ],
      linux: {
        resources: {
          memoryLimitInBytes: 64 << 20,
          cpuShares: 512,
          cpuPeriod: 100000,
          cpuQuota: 50000,
        },
      },
    });
    const script = [
      "pwd",
      "echo $GREETING",
      "cat '/in/a file'",
      "touch /in/x 2>/dev/null || echo readonly",
      "echo back >> '/out file'",
    ].join("; ");
    const { stdout } = await cri.exec(id, ["sh", "-c", script]);
    assert.equal(stdout, '/tmp\ngrüße = "x"\nfrom the host\nreadonly\n');
    assert.equal(await readFile(file, "utf8"), "from the host\nback\n");
    const status = await cri.status(id);
    assert.deepEqual(
      status.mounts.map(({ containerPath, hostPath, readonly }) => [
        containerPath,
        hostPath,
        readonly,
      ]),
      [
        ["/in", bed.folder, true],
        ["/out file", file, false],
      ],
    );
    assert.equal(status.resources?.linux?.memoryLimitInBytes, 67108864n);
    await cri.removePod(pod.id);
  });

  test("stats show CPU, memory and the writable layer of a running container", async () => {
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, shell, [
      "sh",
      "-c",
      "dd if=/dev/zero of=/tmp/file bs=1M count=4 2>/dev/null; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 1000",
    ]);
    const stats = await until("stats have figures", async () => {
      const { stats } = await cri.runtime.ContainerStats({ containerId: id });
      return (stats?.cpu?.usageCoreNanoSeconds?.value ?? 0n) > 0n &&
        (stats?.writableLayer?.usedBytes?.value ?? 0n) >= 4n << 20n
        ? stats
        : undefined;
    });
    assert.equal(stats.attributes?.id, id);
    assert.equal(stats.attributes?.metadata?.attempt, 0);
    assert.ok((stats.memory?.workingSetBytes?.value ?? 0n) > 0n);
    assert.ok(stats.cpu!.timestamp > 0n && stats.memory!.timestamp > 0n);
    const listed = await cri.runtime.ListContainerStats({ filter: { podSandboxId: pod.id } });
    assert.deepEqual(
      listed.stats.map(({ attributes }) => attributes?.id),
      [id],
    );
    const all = await cri.runtime.ListContainerStats({});
    assert.ok(all.stats.some(({ attributes }) => attributes?.id === id));
    await cri.runtime.StopContainer({ containerId: id, timeout: 0n });
    const created = await cri.createContainer(pod, shell, ["true"]);
    for (const idle of [id, created]) {
      await assert.rejects(cri.runtime.ContainerStats({ containerId: idle }), {
        code: "FAILED_PRECONDITION",
        message: /is not running/,
      });
    }
    const left = await cri.runtime.ListContainerStats({ filter: { podSandboxId: pod.id } });
    assert.deepEqual(left.stats, []);
    await cri.removePod(pod.id);
  });

  test("an out-of-memory kill is reported as OOMKilled", async () => {
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, shell, ["sh", "-c", "tail /dev/zero"], {
      linux: { resources: { memoryLimitInBytes: 16 << 20, memorySwapLimitInBytes: 16 << 20 } },
    });
    const status = await until("it is out of memory", async () => {
      const found = await cri.status(id);
      return found.state === "CONTAINER_EXITED" && found;
    });
    assert.deepEqual([status.exitCode, status.reason], [137, "OOMKilled"]);
    await cri.removePod(pod.id);
  });

  test("a log is reopened after rotation without losing a line", async () => {
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, shell, [
      "sh",
      "-c",
      "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; sleep 1000",
    ]);
    const { logPath } = await cri.status(id);
    await until("some lines", async () => linesOf(await cri.logOf(id)).length > 20);
    const { rename } = await import("node:fs/promises");
    await rename(logPath, `${logPath}.1`);
    await cri.runtime.ReopenContainerLog({ containerId: id });
    const all = await until("all lines", async () => {
      const found = [
        ...linesOf(await readFile(`${logPath}.1`, "utf8")),
        ...linesOf(await readFile(logPath, "utf8")),
      ];
      return found.length >= 300 && found;
    });
    assert.deepEqual(
      all,
      Array.from({ length: 300 }, (_, i) => `line ${i + 1}`),
    );
    await cri.removePod(pod.id);
  });

  test("lists filter by id, state and labels, and unknown ids find nothing", async () => {
    const pod = await cri.runPod({ labels: { color: "blue" } });
    const other = await cri.runPod({ labels: { color: "red" } });
    const find = async (filter: Parameters<typeof cri.runtime.ListPodSandbox>[0]["filter"]) =>
      (await cri.runtime.ListPodSandbox({ filter: filter ?? null })).items.map(({ id }) => id);
    assert.deepEqual(await find({ labelSelector: { color: "blue" } }), [pod.id]);
    assert.deepEqual(await find({ id: other.id.slice(0, 12) }), [other.id]);
    assert.deepEqual(await find({ id: "0123456789ab" }), []);
    await cri.runtime.StopPodSandbox({ podSandboxId: other.id });
    assert.deepEqual(await find({ state: { state: "SANDBOX_NOTREADY" } }), [other.id]);
    await cri.runtime.RemovePodSandbox({ podSandboxId: other.id });
    await cri.removePod(pod.id);
  });

  test("StopPodSandbox ends all its containers, RemovePodSandbox removes them", async () => {
    const pod = await cri.runPod();
    const ids = await Promise.all(
      ["x", "y"].map((name) =>
        cri.startContainer(pod, shell, ["sleep", "100000"], { metadata: { name, attempt: 0 } }),
      ),
    );
    await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    for (const id of ids) assert.equal((await cri.status(id)).state, "CONTAINER_EXITED");
    await cri.runtime.RemovePodSandbox({ podSandboxId: pod.id });
    const { containers } = await cri.runtime.ListContainers({ filter: { podSandboxId: pod.id } });
    assert.deepEqual(containers, []);
    await until(
      "no process has its id",
      () => processes(({ argv }) => argv.includes(pod.id)).length === 0,
    );
  });

  test("a retry of RunPodSandbox and CreateContainer joins the first attempt", async () => {
    const config = cri.podConfig();
    const answers = await Promise.all(
      [1, 2, 3].map(() => cri.runtime.RunPodSandbox({ config, runtimeHandler: "" })),
    );
    const ids = new Set(answers.map(({ podSandboxId }) => podSandboxId));
    assert.equal(ids.size, 1);
    const pod: RunningPod = { id: answers[0]!.podSandboxId, config };
    cri.seen.add(pod.id);
    const request = {
      podSandboxId: pod.id,
      config: cri.containerConfig(shell, forever),
      sandboxConfig: config,
    };
    const made = await Promise.all([1, 2].map(() => cri.runtime.CreateContainer(request)));
    assert.equal(made[0]!.containerId, made[1]!.containerId);
    await cri.removePod(pod.id);
  });
});
