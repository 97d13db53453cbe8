// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { parse, stringify } from "smol-toml";
import { linesOf } from "../../support/cri-log.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { type Kubelet, startKubelet } from "../../support/kubelet/kubelet.ts";
import type { KubeletApi } from "../../support/kubelet/kubelet-api.ts";
import { chattyLines, type StaticPodName, staticPods } from "../../support/kubelet/static-pods.ts";
import type { StatsSummary } from "../../support/kubelet/stats-summary.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { leftovers } from "../../support/leaks.ts";
import { mountsBelow } from "../../support/mounts.ts";
import { namespaceOf } from "../../support/processes.ts";
import { parsePrometheusText } from "../../support/prometheus-text.ts";
import { freePort } from "../../support/registry.ts";
import { upgradeToSpdy } from "../../support/streaming/spdy-client.ts";
import { WsClient } from "../../support/streaming/ws-client.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const missing = lacking(...podPrograms) || (!existsSync("/dev/kmsg") && "needs /dev/kmsg");
const tool = missing === false ? await toolOrReason("kubelet") : undefined;

/** Enough for a kubelet that looks once in a few seconds, on a busy machine. */
const patience = { timeoutMs: 180_000, everyMs: 250 } as const;

/** Where cAdvisor asks for containers, and since Kubernetes 1.37 nowhere else. */
const cadvisorsPlace = "/run/containerd/containerd.sock";

/** Those that go on as they are whatever restarts around them. */
const steady: readonly StaticPodName[] = ["web", "guarded", "host", "privileged"];

suite("a kubelet on Berth", { skip: missing || tool?.skip || false }, () => {
  let bed: Testbed;
  let kubelet: Kubelet;
  let api: KubeletApi;
  let hostPort: number;
  let hostFolder: string;
  const names = new Map<StaticPodName, string>();
  before(async () => {
    bed = await openTestbed();
    kubelet = await startKubelet(tool?.skip === false ? tool.path : "", bed.daemon);
    api = kubelet.api;
    hostPort = await freePort();
    hostFolder = path.join(bed.folder, "host folder");
    await mkdir(hostFolder);
    await chmod(hostFolder, 0o777);
    const seccompProfile = "profiles/no-chmod.json";
    await kubelet.placeSeccompProfile(seccompProfile, noChmod);
    const image = bed.images.shell.reference;
    const pods = staticPods({ image, hostPort, hostFolder, seccompProfile });
    for (const [name, pod] of Object.entries(pods)) {
      names.set(name as StaticPodName, await kubelet.place(pod));
    }
  });
  after(async () => {
    try {
      await kubelet?.stop();
      await bed?.cri.removeAllPods();
      await kubelet?.[Symbol.asyncDispose]();
    } finally {
      await bed?.finish();
    }
  });

  const named = (name: StaticPodName): string => names.get(name) ?? "";

  const isReady = (name: StaticPodName) =>
    until(
      `${name} is ready`,
      async () => {
        const { status } = await api.pod(named(name));
        const ready = status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
        if (!ready) throw new Error(JSON.stringify(status?.containerStatuses));
        return status;
      },
      patience,
    );

  const exec = async (name: StaticPodName, container: string, ...command: readonly string[]) =>
    (await api.run(named(name), container, command)).trim();

  test("init container, sidecar, probes and volumes: the pod becomes ready", async () => {
    const status = await isReady("web");
    const [seed, sidecar] = status.initContainerStatuses ?? [];
    assert.equal(seed?.state?.terminated?.reason, "Completed");
    assert.ok(sidecar?.state?.running && sidecar.started);
    const server = await api.container(named("web"), "server");
    assert.deepEqual([server.started, server.ready, server.restartCount], [true, true, 0]);
    assert.match(server.containerID ?? "", /^berth:\/\/[0-9a-f]{64}$/);
    assert.ok(status.podIP?.startsWith(bed.daemon.network.subnet.slice(0, -4)));
    for (const host of [`${status.podIP}:8080`, `${outerAddress()}:${hostPort}`]) {
      const answer = await fetch(`http://${host}/index.html`);
      assert.equal(await answer.text(), "seeded\n");
    }
    assert.equal(await exec("web", "server", "ls", "/work"), "index.html\npost-start\nup");
    assert.match(await exec("web", "server", "df", "-k", "/memory"), / 1024 /);
  });

  test("limits are what the pod asked for", async () => {
    const { podUid, pid } = await serverProcess();
    const group = cgroupOf(pid);
    assert.ok(group("memory").includes(`/kubepods/burstable/pod${podUid}/`));
    assert.deepEqual(
      [
        value("memory", group("memory"), "memory.limit_in_bytes", "memory.max"),
        value("cpu", group("cpu"), "cpu.cfs_quota_us", "cpu.max").split(" ")[0],
      ],
      [String(64 << 20), "20000"],
    );
  });

  test("security contexts, a shared process namespace, sub-path and downward volumes", async () => {
    await isReady("guarded");
    const run = (...command: readonly string[]) => exec("guarded", "main", ...command);
    assert.match(await run("id"), /^uid=1000 gid=3000 groups=2000,3000$|groups=3000.*2000/);
    const status = await run("cat", "/proc/self/status");
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\w+)$`, "m").exec(status)?.[1];
    assert.deepEqual(
      [field("CapBnd"), field("NoNewPrivs"), field("Seccomp")],
      ["0000000000000000", "1", "2"],
    );
    await assert.rejects(run("touch", "/tmp/x"), /Read-only file system/);
    await run("touch", "/work/mine");
    assert.match(await run("ls", "-ln", "/work/mine"), / 1000 +2000 /);
    assert.equal(await run("cat", "/about/name"), named("guarded"));
    assert.match(await run("ps", "-o", "pid,args"), /^ +1 \/pause$/m);
  });

  test("a crash loop backs off and tells what the last one said", async () => {
    const main = await until(
      "two restarts and a pause",
      async () => {
        const seen = await api.container(named("crash"), "main");
        const isWaiting = seen.state?.waiting?.reason === "CrashLoopBackOff";
        return seen.restartCount >= 2 && isWaiting && seen;
      },
      patience,
    );
    const last = main.lastState?.terminated;
    assert.deepEqual([last?.exitCode, last?.reason, last?.message], [3, "Error", "it breaks\n"]);
    // A restart between the kubelet's look and ours takes the log of the one before with it.
    await until(
      "the log of the last one",
      async () => (await api.logs(named("crash"), "main", "previous=true")) === "it breaks\n",
      patience,
    );
  });

  test("an OOM kill is told as one", async () => {
    const ended = await until(
      "greedy is dead",
      async () => (await api.container(named("greedy"), "main")).state?.terminated,
      patience,
    );
    assert.deepEqual([ended.reason, ended.exitCode], ["OOMKilled", 137]);
    await until(
      "its pod failed",
      async () => (await api.pod(named("greedy"))).status?.phase === "Failed",
      patience,
    );
  });

  test("a failing liveness probe restarts its container", async () => {
    const main = await until(
      "one restart",
      async () => {
        const seen = await api.container(named("unwell"), "main");
        return seen.restartCount >= 1 && seen.lastState?.terminated && seen;
      },
      patience,
    );
    assert.equal(main.lastState?.terminated?.exitCode, 137);
  });

  test("an exec probe that takes too long leaves its pod running and unready", async () => {
    const main = await until(
      "slow runs",
      async () => {
        const seen = await api.container(named("slow"), "main");
        return seen.state?.running && seen;
      },
      patience,
    );
    await until("the probe timed out", async () => /timed out/.test(await kubelet.log()), patience);
    const seen = await api.container(named("slow"), "main");
    assert.deepEqual([seen.ready, seen.containerID], [false, main.containerID]);
    const probes = async (): Promise<number> =>
      (await exec("slow", "main", "ps")).split("\n").filter((line) => / sleep 500/.test(line))
        .length;
    // The next one may have begun while the one before is being ended; those that stay would become more and more.
    await until("of the probes that timed out none runs on", async () => (await probes()) <= 1);
  });

  test("names, resolver, kernel settings and groups are as the pod says", async () => {
    await isReady("told");
    const run = (...command: readonly string[]) => exec("told", "main", ...command);
    assert.equal(await run("hostname"), "busybox-1");
    const { podIP } = (await api.pod(named("told"))).status ?? {};
    const hosts = await run("cat", "/etc/hosts");
    assert.match(hosts, new RegExp(`^${podIP}\\s+busybox-1$`, "m"));
    assert.match(hosts, /^192\.0\.2\.7\s+foo\.local\s+bar\.local$/m);
    const resolver = (await run("cat", "/etc/resolv.conf")).split("\n");
    assert.deepEqual(resolver.slice(0, -1), [
      "search ns1.svc.cluster-domain.example my.dns.search.suffix",
      "nameserver 192.0.2.1",
    ]);
    // The kubelet keeps them in a Go map: their order is by chance.
    const options = resolver.at(-1)?.split(" ") ?? [];
    assert.deepEqual(options.toSorted(), ["edns0", "ndots:2", "options"]);
    assert.equal(await run("cat", "/proc/sys/kernel/shm_rmid_forced"), "1");
    assert.equal(await run("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "1");
    assert.match(await run("id"), /^uid=1000 gid=3000 groups=3000,4000$/);
    assert.equal(await run("pwd"), "/made/for/it");
    assert.match(await run("env"), /^SECOND=one and \$\(FIRST\)$/m);
    const { user } = await api.container(named("told"), "main");
    assert.deepEqual(user?.linux, { uid: 1000, gid: 3000, supplementalGroups: [3000, 4000] });
  });

  test("a profile of the node's own, an image as a volume, and frozen mounts", async () => {
    await isReady("told");
    const run = (...command: readonly string[]) => exec("told", "main", ...command);
    await run("touch", "/tmp/x");
    await assert.rejects(run("chmod", "700", "/tmp/x"), /Operation not permitted/);
    assert.equal(await exec("told", "peer", "ls", "/tmp"), "");
    assert.match(await run("cat", "/image/etc/passwd"), /^root:/);
    assert.match(await run("cat", "/part/passwd"), /^root:/);
    await assert.rejects(run("touch", "/image/tmp/x"), /Read-only file system/);
    await assert.rejects(run("touch", "/frozen/x"), /Read-only file system/);
    for (const [kind, shared] of [
      ["net", true],
      ["ipc", true],
      ["uts", true],
      ["pid", false],
      ["mnt", false],
    ] as const) {
      const link = `/proc/self/ns/${kind}`;
      const peers = await exec("told", "peer", "readlink", link);
      assert.equal((await run("readlink", link)) === peers, shared, kind);
    }
  });

  test("last words and reasons of containers that ended", async () => {
    const ended = await until(
      "the brief pod has ended",
      async () => {
        const { status } = await api.pod(named("brief"));
        return status?.phase === "Failed" && status.containerStatuses;
      },
      patience,
    );
    const told = ended.map(({ name, state }) => {
      const { exitCode, reason, message } = state?.terminated ?? {};
      return { name, exitCode, reason, message: message?.trim() };
    });
    assert.deepEqual(
      told.filter(({ name }) => name !== "absent"),
      [
        { name: "prints", exitCode: 4, reason: "Error", message: "not this either" },
        { name: "writes", exitCode: 0, reason: "Completed", message: "it went well" },
      ],
    );
    const absent = told.find(({ name }) => name === "absent");
    assert.deepEqual([absent?.exitCode, absent?.reason], [128, "StartError"]);
    assert.match(absent?.message ?? "", /no such file or directory/);
  });

  test("a registry that cannot be reached is told as such", async () => {
    const waiting = await until(
      "the pull has failed",
      async () => (await api.container(named("adrift"), "main")).state?.waiting?.message,
      patience,
    );
    assert.match(waiting, /because the registry is unavailable: .*cannot reach "127\.0\.0\.1:1"/);
  });

  test("hostNetwork, hostPID and hostIPC: the host's own, and no address", async () => {
    await isReady("host");
    const { items } = await bed.cri.runtime.ListPodSandbox({});
    const sandbox = items.find(({ metadata }) => metadata?.name === named("host"));
    assert.equal((await bed.cri.podStatus(sandbox?.id ?? "")).network?.ip ?? "", "");
    for (const kind of ["net", "pid", "ipc"] as const) {
      const own = namespaceOf(process.pid, kind);
      assert.equal(await exec("host", "main", "readlink", `/proc/self/ns/${kind}`), own);
      assert.notEqual(await exec("web", "server", "readlink", `/proc/self/ns/${kind}`), own);
    }
  });

  test("privileged: every capability and device of the host", async () => {
    await isReady("privileged");
    const bounding = /^CapBnd:\s*(\w+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    const status = await exec("privileged", "main", "cat", "/proc/self/status");
    assert.equal(/^CapEff:\s*(\w+)$/m.exec(status)?.[1], bounding);
    assert.equal(await exec("privileged", "main", "ls", "/dev/kmsg"), "/dev/kmsg");
    await assert.rejects(exec("web", "server", "ls", "/dev/kmsg"), /No such file/);
  });

  test("logs: whole, their end, with times", async () => {
    const { name } = (await api.pod(named("web"))).metadata ?? {};
    const whole = await api.logs(named("web"), "server");
    assert.deepEqual(whole.split("\n").toSorted(), ["", `serving as ${name}`, "to stderr"]);
    assert.equal(await api.logs(named("web"), "seed"), "init is done\n");
    await until("the sidecar ticked twice", async () =>
      (await api.logs(named("web"), "sidecar")).startsWith("tick\ntick\n"),
    );
    assert.equal(await api.logs(named("web"), "sidecar", "tailLines=1"), "tick\n");
    assert.match(
      await api.logs(named("web"), "sidecar", "tailLines=1&timestamps=true"),
      /^\d{4}-\d\d-\d\dT[^ ]+ tick\n$/,
    );
  });

  test("logs rotated by the kubelet have every line once", async () => {
    const folder = await until("the chatty pod's logs", async () => {
      const pod = (await readdir(kubelet.logs)).find((name) => name.includes("chatty"));
      return pod && path.join(kubelet.logs, pod, "main");
    });
    const lines = await until(
      "all is written and rotated",
      async () => {
        const names = (await readdir(folder)).filter((name) => !name.endsWith(".tmp")).toSorted();
        const rotated = names.filter((name) => name !== "0.log");
        if (rotated.length < 2) throw new Error(`there are ${names.join()}`);
        let text = "";
        for (const name of [...rotated, "0.log"]) {
          const bytes = await readFile(path.join(folder, name));
          text += (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
        }
        const found = linesOf(text);
        // A rotation in the middle of this reading hides what it moved, until the next reading.
        if (found.length < chattyLines) throw new Error(`${found.length} lines yet`);
        return found;
      },
      patience,
    );
    assert.deepEqual(
      lines.map(Number),
      Array.from({ length: chattyLines }, (_, index) => index + 1),
    );
  });

  test("exec through the kubelet, over WebSocket and over SPDY", async () => {
    const command = ["sh", "-c", "read line; echo got $line; echo oops >&2; exit 5"];
    const target = [named("web"), "server", command] as const;
    const ca = await api.ca();
    const socket = await WsClient.connect(api.execUrl("wss", ...target), "v5.channel.k8s.io", ca);
    socket.send(0, Buffer.from("over WebSocket\n"));
    await socket.closeCode;
    assert.deepEqual([socket.textOf(1), socket.textOf(2)], ["got over WebSocket\n", "oops\n"]);
    assert.match(socket.textOf(3), /"ExitCode","message":"5"/);

    const { client, status } = await upgradeToSpdy(
      api.execUrl("https", ...target),
      ["v4.channel.k8s.io"],
      { ca },
    );
    assert.ok(client, `upgrade refused: ${status}`);
    const error = await client.open({ streamtype: "error" });
    const stdin = await client.open({ streamtype: "stdin" });
    const stdout = await client.open({ streamtype: "stdout" });
    const stderr = await client.open({ streamtype: "stderr" });
    await client.write(stdin, "over SPDY\n");
    client.end(stdin);
    assert.deepEqual([await stdout.text(), await stderr.text()], ["got over SPDY\n", "oops\n"]);
    assert.match(await error.text(), /"ExitCode","message":"5"/);
    client.destroy();
  });

  test("port-forward through the kubelet", async () => {
    const { client, status } = await upgradeToSpdy(
      `https://${api.host}/portForward/default/${named("web")}`,
      ["portforward.k8s.io"],
      { ca: await api.ca() },
    );
    assert.ok(client, `upgrade refused: ${status}`);
    const common = { port: "8080", requestid: "0" };
    const error = await client.open({ ...common, streamtype: "error" });
    client.end(error);
    const data = await client.open({ ...common, streamtype: "data" });
    await client.write(data, "GET /index.html HTTP/1.0\r\n\r\n");
    client.end(data);
    assert.match(await data.text(), /^HTTP\/1\.[01] 200 OK[^]*seeded\n$/);
    client.destroy();
  });

  test("/stats/summary has figures of the node, its pods and containers", async () => {
    const pod = await until(
      "the summary has the server's CPU rate",
      async () => {
        const summary = await api.json<StatsSummary>("/stats/summary");
        assert.ok(summary.node.runtime.imageFs.usedBytes > 0);
        const found = summary.pods.find(({ podRef }) => podRef.name === named("web"));
        const server = found?.containers.find(({ name }) => name === "server");
        assert.notEqual(server?.cpu?.usageNanoCores, undefined);
        // Each is counted in a turn of its own.
        for (const { name, cpu, memory, rootfs, logs } of found?.containers ?? []) {
          const figures = [cpu?.usageCoreNanoSeconds, memory?.workingSetBytes, rootfs?.usedBytes];
          assert.ok(
            [...figures, logs?.usedBytes].every((it) => it !== undefined && it > 0),
            JSON.stringify({ name, cpu, memory, rootfs, logs }),
          );
        }
        return found;
      },
      { timeoutMs: 180_000, everyMs: 1000 },
    );
    assert.deepEqual(pod.containers.map(({ name }) => name).toSorted(), ["server", "sidecar"]);
    assert.ok((pod.network?.rxBytes ?? 0) > 0);
    assert.ok((pod.memory?.workingSetBytes ?? 0) > 0);
    assert.ok((pod.process_stats?.process_count ?? 0) >= 3);
  });

  test("/metrics/cadvisor has samples by pod and container", async () => {
    await until(
      "all samples are there",
      async () => {
        const families = parsePrometheusText(await api.request("/metrics/cadvisor"));
        const of = (family: string, container: string): number | undefined =>
          families
            .get(family)
            ?.samples.find(
              ({ labels }) => labels["pod"] === named("web") && labels["container"] === container,
            )?.value;
        assert.ok((of("container_memory_working_set_bytes", "server") ?? 0) > 0);
        assert.ok((of("container_threads", "sidecar") ?? 0) > 0);
        assert.ok((of("container_network_receive_bytes_total", "") ?? 0) > 0);
        assert.equal(of("container_spec_memory_limit_bytes", "server"), 64 << 20);
        assert.notEqual(of("container_cpu_usage_seconds_total", "server"), undefined);
        return true;
      },
      patience,
    );
  });

  for (const [what, restart] of [
    [
      "the kubelet",
      async () => {
        await kubelet.stop();
        await kubelet.start();
      },
    ],
    [
      "Berth by SIGKILL",
      async () => {
        await bed.daemon.kill9();
        await bed.daemon.start();
      },
    ],
  ] as const) {
    test(`the pods outlive a restart of ${what}`, async () => {
      const before = await containersOfSteadyPods();
      assert.equal(before.length, 10);
      await restart();
      for (const name of steady) await isReady(name);
      // A sync of every pod has passed once a later crash was handled.
      const { restartCount } = await api.container(named("crash"), "main");
      await until(
        "the kubelet goes on restarting what crashes",
        async () => (await api.container(named("crash"), "main")).restartCount > restartCount,
        patience,
      );
      assert.deepEqual(await containersOfSteadyPods(), before);
      assert.equal(await exec("web", "server", "cat", "/work/index.html"), "seeded");
      for (const name of steady) {
        const { status } = await api.pod(named(name));
        const counts = status?.containerStatuses?.map((it) => it.restartCount);
        assert.ok(
          counts?.every((count) => count === 0),
          `${name} restarted`,
        );
      }
    });
  }

  test("without the feature gate cAdvisor finds the containers through containerd's services", async (t) => {
    if (existsSync(cadvisorsPlace)) return t.skip("needs a machine without a containerd that runs");
    await kubelet.stop();
    const original = await readFile(bed.daemon.configFile, "utf8");
    const config = parse(original) as { grpc: object };
    await serveAlso(stringify({ ...config, grpc: { ...config.grpc, also: [cadvisorsPlace] } }));
    t.after(() => serveAlso(original));
    await kubelet.start("--feature-gates=PodAndContainerStatsFromCRI=false");
    // A manifest that goes before the new kubelet's first sync of its pod leaves the containers to
    // its cgroup cleaning, which kills without a grace period.
    for (const name of steady) await isReady(name);
    const family = "container_memory_working_set_bytes";
    const labels = await until(
      "a sample of the server",
      async () => {
        const families = parsePrometheusText(await api.request("/metrics/cadvisor"));
        return families.get(family)?.samples.find((it) => it.labels["container"] === "server")
          ?.labels;
      },
      patience,
    );
    assert.deepEqual(
      [labels["pod"], labels["namespace"], labels["image"]],
      [named("web"), "default", bed.images.shell.reference],
    );
    await until(
      "the summary has the pod's network",
      async () => {
        const { pods } = await api.json<StatsSummary>("/stats/summary");
        return pods.find(({ podRef }) => podRef.name === named("web"))?.network?.rxBytes;
      },
      patience,
    );
  });

  test("a kubelet with evented PLEG learns from our events", async () => {
    await kubelet.stop();
    await kubelet.start("--feature-gates=EventedPLEG=true");
    for (const name of steady) await isReady(name);
    // It lists once in five minutes then: what it knows of restarts it has from events.
    const { restartCount } = await api.container(named("crash"), "main");
    await until(
      "two more restarts",
      async () => (await api.container(named("crash"), "main")).restartCount >= restartCount + 2,
      patience,
    );
    const families = parsePrometheusText(await api.request("/metrics"));
    const value = (name: string) => families.get(name)?.samples[0]?.value;
    assert.equal(value("kubelet_evented_pleg_connection_success_count"), 1);
    assert.equal(value("kubelet_evented_pleg_connection_error_count"), 0);
    await kubelet.stop();
    await kubelet.start();
    for (const name of steady) await isReady(name);
  });

  test("a pod is resized in place, its containers' resources and its own", async () => {
    const uid = "00000000-0000-4000-8000-000000000001";
    const place = (memory: string, cpu: string, whole: string): Promise<string> =>
      kubelet.place({
        metadata: { name: "resized", uid },
        spec: {
          terminationGracePeriodSeconds: 2,
          resources: { requests: { memory: "48Mi" }, limits: { memory: whole } },
          containers: [
            {
              name: "main",
              image: bed.images.shell.reference,
              imagePullPolicy: "IfNotPresent",
              command: ["sleep", "100000"],
              resources: { requests: { cpu: "50m", memory: "32Mi" }, limits: { cpu, memory } },
            },
          ],
        },
      });
    const name = await place("64Mi", "100m", "96Mi");
    const main = await until(
      "it runs",
      async () => {
        const seen = await api.container(name, "main");
        return seen.state?.running && seen;
      },
      patience,
    );
    const containerId = (main.containerID ?? "").replace("berth://", "");
    const { info } = await bed.cri.runtime.ContainerStatus({ containerId, verbose: true });
    const { pid, sandboxID } = JSON.parse(info["info"] ?? "{}") as Record<string, string>;
    const group = cgroupOf(Number(pid));
    const limits = (): readonly string[] => [
      value("memory", group("memory"), "memory.limit_in_bytes", "memory.max"),
      value("cpu", group("cpu"), "cpu.cfs_quota_us", "cpu.max").split(" ")[0] ?? "",
      value("memory", path.dirname(group("memory")), "memory.limit_in_bytes", "memory.max"),
    ];
    assert.deepEqual(limits(), [String(64 << 20), "10000", String(96 << 20)]);
    for (const [memory, cpu, whole] of [
      [128, 300, 192],
      [40, 50, 80],
    ] as const) {
      await place(`${memory}Mi`, `${cpu}m`, `${whole}Mi`);
      const wanted = [String(memory << 20), String(cpu * 100), String(whole << 20)];
      await until(
        "the limits have changed",
        () => {
          assert.deepEqual(limits(), wanted);
          return true;
        },
        patience,
      );
      // What changes a cgroup keeps what it is now right after that.
      await until("the runtime tells of the container's, and of the pod's", async () => {
        const status = await bed.cri.status(containerId);
        assert.equal(status.resources?.linux?.memoryLimitInBytes, BigInt(memory << 20));
        assert.equal(status.state, "CONTAINER_RUNNING");
        const { info: told } = await bed.cri.runtime.PodSandboxStatus({
          podSandboxId: sandboxID ?? "",
          verbose: true,
        });
        const { resources } = JSON.parse(told["info"] ?? "{}") as {
          resources?: { memory_limit_in_bytes?: number };
        };
        assert.equal(resources?.memory_limit_in_bytes, whole << 20);
        return true;
      });
    }
    assert.equal((await api.container(name, "main")).restartCount, 0);
  });

  test("without their manifests nothing of the pods is left", async () => {
    const { items } = await bed.cri.runtime.ListPodSandbox({});
    for (const { id } of items) bed.cri.seen.add(id);
    await kubelet.withdrawAll();
    await until(
      "no sandboxes",
      async () => {
        const left = await bed.cri.runtime.ListPodSandbox({});
        const { containers } = await bed.cri.runtime.ListContainers({});
        if (left.items.length + containers.length === 0) return true;
        throw new Error(left.items.map((item) => `${item.metadata?.name} ${item.state}`).join());
      },
      // Kubelets collect what is dead once a minute.
      { timeoutMs: 300_000, everyMs: 500 },
    );
    const told = await readFile(path.join(hostFolder, "end"), "utf8");
    assert.equal(told, "stopping\nended by TERM\n");
    await until(
      "nothing of pods is left",
      async () => {
        const { cgroupParent } = bed.daemon.territory;
        const ownGroup = new RegExp(`${cgroupParent}/kubepods(/burstable|/besteffort)?$`);
        const left = [
          ...(await leftovers(bed.daemon.territory)).filter((line) => !ownGroup.test(line)),
          ...(await mountsBelow(path.join(kubelet.folder, "root"))),
          ...(await readdir(path.join(kubelet.folder, "root", "pods"))),
        ];
        if (left.length > 0) throw new Error(left.join("\n"));
        return true;
      },
      patience,
    );
    assert.deepEqual(await api.pods(), []);
  });

  /** Has the daemon take a configuration up, and waits until the socket where cAdvisor looks is as it says. */
  async function serveAlso(config: string): Promise<void> {
    const had = existsSync(cadvisorsPlace);
    await writeFile(bed.daemon.configFile, config);
    process.kill(bed.daemon.pid(), "SIGHUP");
    await until("the socket has come or gone", async () => existsSync(cadvisorsPlace) !== had);
  }

  /** Every container there is of the steady pods, dead ones too: `NAME ID STATE`. */
  async function containersOfSteadyPods(): Promise<string[]> {
    const { containers } = await bed.cri.runtime.ListContainers({});
    const { items } = await bed.cri.runtime.ListPodSandbox({});
    const pods = steady.map(named);
    return [
      ...items
        .filter(({ metadata }) => pods.includes(metadata?.name ?? ""))
        .map(({ metadata, id, state }) => `${metadata?.name} ${id} ${state}`),
      ...containers
        .filter(({ labels }) => pods.includes(labels["io.kubernetes.pod.name"] ?? ""))
        .map(({ metadata, id, state }) => `${metadata?.name} ${id} ${state}`),
    ].toSorted();
  }

  async function serverProcess(): Promise<{ readonly podUid: string; readonly pid: number }> {
    const server = await api.container(named("web"), "server");
    const containerId = (server.containerID ?? "").replace("berth://", "");
    const { info } = await bed.cri.runtime.ContainerStatus({ containerId, verbose: true });
    const { pid } = JSON.parse(info["info"] ?? "{}") as { pid: number };
    const uid = (await api.pod(named("web"))).metadata?.uid ?? "";
    return { podUid: uid, pid };
  }
});

/** An address of this machine that is not loopback: host ports are not forwarded from there. */
function outerAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const found = all.find(({ family, internal }) => family === "IPv4" && !internal);
  assert.ok(found, "no address but loopback");
  return found.address;
}

/** A process's cgroup by v1 controller; on v2 they all have the same. */
function cgroupOf(pid: number): (controller: string) => string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n");
  return (controller) => {
    const own = lines.find((line) => line.split(":")[1]?.split(",").includes(controller));
    return (own ?? lines.at(-1) ?? "").split(":").slice(2).join(":");
  };
}

function value(controller: string, group: string, v1: string, v2: string): string {
  const root = "/sys/fs/cgroup";
  try {
    return readFileSync(path.join(root, controller, group, v1), "utf8").trim();
  } catch {
    return readFileSync(path.join(root, group, v2), "utf8").trim();
  }
}

/** Denies one family of calls; the pod would run as well without. */
const noChmod = {
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [{ names: ["chmod", "fchmod", "fchmodat"], action: "SCMP_ACT_ERRNO" }],
};
