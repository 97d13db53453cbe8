// SPDX-License-Identifier: Apache-2.0
// Pod networks through the public face, with the real plugins.
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { after, before, beforeEach, suite, test } from "node:test";
import { removeCgroups } from "../support/cgroups.ts";
import { conflist } from "../support/cni.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { cniBinFolder, lacking } from "../support/lacking.ts";
import { iptablesRulesOf, nothingLeft, shimSocketOf } from "../support/leaks.ts";
import { mountsBelow } from "../support/mounts.ts";
import { type NetnsServer, serveIn } from "../support/netns-server.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { processesInCgroup, shimsOf } from "../support/processes.ts";
import { must } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { type ScriptedCni, scriptCni } from "../support/scripted-cni.ts";
import { until } from "../support/until.ts";

const programs = ["runc", "containerd-shim-runc-v2", "iptables", "ip", "nsenter", "tc"] as const;
/** Twelve from here on: neither of those that the kernel gives to anybody, nor of `freePort`'s. */
const firstPort = 10_000 + ((process.pid * 12) % 9_960);

/** What the CRI's verbose answers hold that this suite looks at. */
interface PodInfo {
  readonly cniResult: Readonly<Record<string, unknown>> | null;
  readonly cniCheck?: string;
  readonly runtimeSpec: {
    readonly linux: { readonly namespaces: { type: string; path?: string }[] };
  };
}

suite("pod networks", { skip: lacking(...programs) }, () => {
  let home: Scratch;
  let daemon: Daemon;
  let cri: Cri;
  let scripted: ScriptedCni;
  /** The chain's first plugins as the harness has them. */
  let plugins: readonly object[];

  before(async () => {
    home = await scratch({ prefix: "nets" });
    scripted = await scriptCni(home.path, ["0.4.0", "1.0.0", "1.1.0"]);
    daemon = await startDaemon({
      config: { cni: { bin_dirs: [scripted.bin, cniBinFolder()], max_conf_num: 1 } },
    });
    ({ cri } = daemon);
    ({ plugins } = conflist(daemon.network) as { plugins: object[] });
  });
  beforeEach(async () => {
    for (const verb of ["ADD", "DEL", "STATUS"] as const) await scripted.fail(verb, undefined);
    await useNetwork({ plugins });
  });
  after(async () => {
    try {
      await daemon?.assertCleanEnd();
    } finally {
      await daemon?.[Symbol.asyncDispose]();
      await home?.[Symbol.asyncDispose]();
    }
  });

  const confFile = (): string =>
    path.join(daemon.network.confDir, `10-${daemon.network.name}.conflist`);

  /** Makes this the network, and waits until the daemon knows. */
  const useNetwork = async (list: object): Promise<void> => {
    const conf = { cniVersion: "1.0.0", name: daemon.network.name, ...list };
    const text = JSON.stringify(conf);
    await writeFile(`${confFile()}.new`, text);
    await rename(`${confFile()}.new`, confFile());
    await configured((networks) => {
      const [first] = networks;
      return (
        JSON.stringify(first?.Config.Plugins.map(({ Network }) => Network)) ===
        JSON.stringify((conf as unknown as { plugins: object[] }).plugins)
      );
    });
  };

  interface Configured {
    readonly Config: { readonly Name: string; readonly Plugins: { readonly Network: object }[] };
  }

  const configured = async (
    wanted: (networks: readonly Configured[]) => boolean,
  ): Promise<void> => {
    await until("the daemon has read the network", async () => {
      const { info } = await cri.runtime.Status({ verbose: true });
      const { Networks } = JSON.parse(info["cniconfig"] ?? "{}") as { Networks: Configured[] };
      return wanted(Networks);
    });
  };

  const networkReady = async (): Promise<{ status: boolean; message: string } | undefined> => {
    const { status } = await cri.runtime.Status({});
    return status?.conditions.find(({ type }) => type === "NetworkReady");
  };

  const infoOf = async (pod: RunningPod): Promise<PodInfo> => {
    const { info } = await cri.runtime.PodSandboxStatus({ podSandboxId: pod.id, verbose: true });
    return JSON.parse(info["info"] ?? "{}") as PodInfo;
  };

  const netnsOf = (pod: RunningPod): string => path.join(daemon.territory.state, "netns", pod.id);

  const addressesOf = async (pod: RunningPod): Promise<string[]> => {
    const { network } = await cri.podStatus(pod.id);
    return [network?.ip ?? "", ...(network?.additionalIps ?? []).map(({ ip }) => ip)];
  };

  /** The bridge's own address: one of the host's. */
  const gateway = (): string => daemon.network.subnet.replace(/0\/24$/, "1");

  const noIpv6 = existsSync("/proc/net/if_inet6") ? false : "needs IPv6";

  test("a dual-stack pod has the preferred address first, also in a daemon started anew", {
    skip: noIpv6,
  }, async () => {
    const [bridge, ...others] = plugins as { ipam: object }[];
    const v6 = { subnet: "fd00:be27:1::/64" };
    const ranges = [[{ subnet: daemon.network.subnet }], [v6]];
    const ipam = { ...bridge?.ipam, ranges, routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] };
    await useNetwork({ plugins: [{ ...bridge, ipMasq: false, ipam }, ...others] });
    const four = await cri.runPod();
    const families = async (pod: RunningPod): Promise<number[]> =>
      (await addressesOf(pod)).map((address) => net.isIP(address));
    assert.deepEqual(await families(four), [4, 6]);
    const config = await readFile(daemon.configFile, "utf8");
    const restart = async (text: string): Promise<void> => {
      await daemon.stop();
      await writeFile(daemon.configFile, text);
      await daemon.start();
    };
    await restart(config.replace("[cni]", '[cni]\nip_preference = "ipv6"'));
    const six = await cri.runPod();
    assert.deepEqual(await families(six), [6, 4]);
    assert.deepEqual(await families(four), [4, 6]);
    await restart(config.replace("[cni]", '[cni]\nip_preference = "cni"'));
    const asGiven = await cri.runPod();
    assert.deepEqual(await families(asGiven), [4, 6]);
    await restart(config);
    for (const pod of [four, six, asGiven]) await cri.removePod(pod.id);
    await nothingLeft(daemon.territory);
  });

  test("host ports lead to the pod, over TCP and UDP, on all addresses or on one", async () => {
    const port = (protocol: "TCP" | "UDP", hostPort: number, hostIp: string) =>
      ({ protocol, containerPort: 7000, hostPort, hostIp }) as const;
    const pod = await cri.runPod({
      portMappings: [
        port("TCP", firstPort, ""),
        port("UDP", firstPort, ""),
        port("TCP", firstPort + 1, "127.0.0.1"),
        port("TCP", firstPort + 2, "0.0.0.0"),
        { protocol: "TCP", containerPort: 7001, hostPort: 0 }, // names a port, maps none
      ],
    });
    await using server: NetnsServer = await serveIn(netnsOf(pod), 7000);
    assert.equal(await askTcp(gateway(), firstPort), server.answer);
    assert.equal(await askUdp(gateway(), firstPort), server.answer);
    assert.equal(await askTcp("127.0.0.1", firstPort + 1), server.answer);
    assert.equal(await askTcp(gateway(), firstPort + 2), server.answer);
    await assert.rejects(askTcp(gateway(), firstPort + 1), { code: "ECONNREFUSED" });
    await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    await assert.rejects(askTcp("127.0.0.1", firstPort + 1), { code: "ECONNREFUSED" });
    assert.deepEqual(await iptablesRulesOf(daemon.network), []);
    await cri.removePod(pod.id);
  });

  test("pods with host ports that come and go side by side all do, and leave nothing", async () => {
    const lane = async (number: number): Promise<void> => {
      const hostPort = firstPort + number;
      for (let round = 0; round < 3; round += 1) {
        const { id } = await cri.runPod({
          portMappings: [
            { protocol: "TCP", containerPort: 80, hostPort },
            { protocol: "UDP", containerPort: 53, hostPort },
          ],
        });
        await cri.runtime.StopPodSandbox({ podSandboxId: id });
        await cri.runtime.RemovePodSandbox({ podSandboxId: id }); // at the first time of asking
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, number) => lane(number)));
    await nothingLeft(daemon.territory);
  });

  test("a plugin's refusal fails the pod in its own words, and leaves nothing", async () => {
    await useNetwork({ plugins: [...plugins, { type: scripted.type }] });
    await scripted.fail("ADD", { code: 7, msg: "no quota", details: "for test" });
    await assert.rejects(
      cri.runPod({ portMappings: [{ protocol: "TCP", containerPort: 1, hostPort: firstPort }] }),
      { message: /CNI ADD of plugin "scripted" in network ".*": no quota: for test/ },
    );
    assert.deepEqual((await cri.runtime.ListPodSandbox({})).items, []);
    await nothingLeft(daemon.territory);
  });

  test("plugins get the capabilities they name, as containerd gives them", async () => {
    const capabilities = {
      portMappings: true,
      bandwidth: true,
      dns: true,
      cgroupPath: true,
      "io.kubernetes.cri.pod-annotations": true,
      mac: true, // nobody says one
    };
    const bandwidth = { type: "bandwidth", capabilities: { bandwidth: true } };
    await useNetwork({ plugins: [...plugins, bandwidth, { type: scripted.type, capabilities }] });
    const annotations = {
      "kubernetes.io/ingress-bandwidth": "10M",
      "kubernetes.io/egress-bandwidth": "20M",
    };
    const pod = await cri.runPod({
      annotations,
      portMappings: [
        { protocol: "UDP", containerPort: 53, hostPort: firstPort, hostIp: "127.0.0.1" },
      ],
    });
    const burst = 2 ** 32 - 1;
    const wanted = {
      portMappings: [
        { hostPort: firstPort, containerPort: 53, protocol: "udp", hostIP: "127.0.0.1" },
      ],
      bandwidth: {
        ingressRate: 10_000_000,
        ingressBurst: burst,
        egressRate: 20_000_000,
        egressBurst: burst,
      },
      dns: { servers: ["10.0.0.10"], searches: ["cluster.local"], options: ["ndots:5"] },
      cgroupPath: daemon.territory.cgroupParent,
      "io.kubernetes.cri.pod-annotations": annotations,
    };
    assert.deepEqual((await scripted.input("ADD"))["runtimeConfig"], wanted);
    const [link] = await readdir(`/sys/class/net/${daemon.network.bridge}/brif`);
    assert.match(await must("tc", ["qdisc", "show", "dev", link ?? ""]), /tbf .*rate 10Mbit/);
    await daemon.kill9();
    await daemon.start();
    await cri.removePod(pod.id);
    assert.deepEqual((await scripted.input("DEL"))["runtimeConfig"], wanted);
    await assert.rejects(
      cri.runPod({ annotations: { "kubernetes.io/ingress-bandwidth": "fast" } }),
      { code: "INVALID_ARGUMENT", message: /ingress-bandwidth "fast" is not a quantity/ },
    );
    await assert.rejects(
      cri.runPod({ portMappings: [{ protocol: "TCP", containerPort: 80, hostPort: 70_000 }] }),
      { code: "INVALID_ARGUMENT", message: /no port 70000/ },
    );
    assert.deepEqual((await cri.runtime.ListPodSandbox({})).items, []);
    await nothingLeft(daemon.territory);
  });

  test("the first file in lexical order counts; a pod goes by what it came by", async () => {
    const { confDir } = daemon.network;
    const old = await cri.runPod();
    const first = path.join(confDir, "05-first.conflist");
    const plugin = [{ type: scripted.type }];
    await writeFile(first, JSON.stringify({ cniVersion: "1.0.0", name: "first", plugins: plugin }));
    await configured(([network]) => network?.Config.Name === "first");
    const pod = await cri.runPod();
    assert.deepEqual(await addressesOf(pod), ["10.9.8.7"]);
    assert.deepEqual(Object.keys((await infoOf(pod)).cniResult ?? {}), ["first"]);
    await writeFile(path.join(confDir, "01-broken.conflist"), "{");
    await writeFile(path.join(confDir, "00-note.txt"), "no network");
    await cri.removePod(old.id); // by the bridge, though that is not in use any more
    await rm(first);
    await configured(([network]) => network?.Config.Name === daemon.network.name);
    await cri.removePod(pod.id);
    assert.deepEqual(scripted.held(), []);
    await rm(path.join(confDir, "01-broken.conflist"));
    await rm(path.join(confDir, "00-note.txt"));
    await nothingLeft(daemon.territory);
  });

  test("the folder may go, come back and be another one; host-network pods do not care", async () => {
    const { confDir } = daemon.network;
    const away = `${confDir}.away`;
    const ready = (wanted: boolean) => async (): Promise<boolean> =>
      (await networkReady())?.status === wanted;
    await rename(confDir, away);
    await until("the network is gone", ready(false));
    assert.match((await networkReady())?.message ?? "", /^no usable CNI configuration in /);
    await assert.rejects(cri.runPod(), { code: "FAILED_PRECONDITION" });
    const onHost = {
      linux: { securityContext: { namespaceOptions: { network: "NODE" } } },
    } as const;
    const hostPod = await cri.runPod(onHost);
    await mkdir(confDir);
    await rename(path.join(away, path.basename(confFile())), confFile());
    await until("the network is back", ready(true));
    await rm(away, { recursive: true });
    await rm(confDir, { recursive: true });
    await until("the network is gone", ready(false));
    await mkdir(confDir);
    await useNetwork({ plugins });
    await until("the network is back", ready(true));
    const pod = await cri.runPod();
    for (const { id } of [hostPod, pod]) await cri.removePod(id);
  });

  test("STATUS of a plugin is NetworkReady, and one that sleeps holds nobody", async () => {
    await useNetwork({ cniVersion: "1.1.0", plugins: [{ type: scripted.type }] });
    await until("it is ready", async () => (await networkReady())?.status);
    await scripted.fail("STATUS", { code: 50, msg: "agent is away" });
    const failing = await until("it is not", async () => {
      const condition = await networkReady();
      return condition?.status === false && condition;
    });
    assert.match(failing.message, /: agent is away$/);
    await scripted.hang("STATUS", true);
    const asked = (await scripted.calls()).length;
    await until("STATUS hangs", async () => (await scripted.calls()).length > asked);
    assert.match((await networkReady())?.message ?? "", /: agent is away$/);
    await scripted.fail("STATUS", undefined);
    await scripted.hang("STATUS", false);
    await until("it is ready", async () => (await networkReady())?.status);
  });

  test("GC at the start gives back what no pod holds", async () => {
    await useNetwork({ cniVersion: "1.1.0", plugins: [{ type: scripted.type }] });
    const pod = await cri.runPod();
    await scripted.leak("stray");
    await daemon.kill9();
    await daemon.start();
    await until("the stray one is gone", () => scripted.held().length === 1);
    assert.deepEqual(scripted.held(), [pod.id]);
    await until("the pod is checked", async () => (await infoOf(pod)).cniCheck === "OK");
    await cri.removePod(pod.id);
    assert.deepEqual(scripted.held(), []);
  });

  test("a DEL that fails keeps no pod; it is done later", async () => {
    await useNetwork({ plugins: [...plugins, { type: scripted.type }] });
    const pod = await cri.runPod();
    await scripted.fail("DEL", { code: 999, msg: "broken" });
    await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    await assert.rejects(cri.runtime.RemovePodSandbox({ podSandboxId: pod.id }), {
      code: "UNAVAILABLE",
    });
    await cri.removePod(pod.id);
    assert.deepEqual((await cri.runtime.ListPodSandbox({})).items, []);
    assert.deepEqual(scripted.held(), [pod.id]);
    const cache = path.join(daemon.folder, "root/cni");
    assert.equal((await readdir(cache)).length, 1);
    await daemon.stop();
    await scripted.fail("DEL", undefined);
    await daemon.start();
    await until("it is given back", () => scripted.held().length === 0);
    assert.deepEqual(await readdir(cache), []);
    await nothingLeft(daemon.territory);
  });

  test("a pod whose namespace is lost goes with its address, however often it is asked", async () => {
    const [bridge, ...others] = plugins;
    // Debian 12's bridge forgets its masquerading rules when it is given no namespace.
    await useNetwork({ plugins: [{ ...bridge, ipMasq: false }, ...others] });
    const pod = await cri.runPod({
      portMappings: [{ protocol: "TCP", containerPort: 80, hostPort: firstPort }],
    });
    await must("umount", ["-l", netnsOf(pod)]);
    await daemon.kill9();
    await daemon.start();
    await until("the check tells", async () =>
      /network namespace ".*" is gone/.test((await infoOf(pod)).cniCheck ?? ""),
    );
    for (let times = 0; times < 3; times += 1) {
      await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    }
    await cri.removePod(pod.id);
    await cri.removePod(pod.id);
    await nothingLeft(daemon.territory);
  });

  test("after a reboot pods are not ready, and give back what the disk remembers", async () => {
    const [bridge, ...others] = plugins;
    await useNetwork({ plugins: [{ ...bridge, ipMasq: false }, ...others] });
    const pods = [await cri.runPod(), await cri.runPod()];
    await reboot(daemon);
    const { items } = await cri.runtime.ListPodSandbox({});
    assert.deepEqual(
      items.map(({ id, state }) => [id, state]),
      pods.map(({ id }) => [id, "SANDBOX_NOTREADY"]),
    );
    const next = await cri.runPod(); // no address is given twice
    assert.equal(
      (await readdir(path.join(daemon.network.dataDir, daemon.network.name))).filter(
        (name) => net.isIP(name) !== 0,
      ).length,
      3,
    );
    for (const { id } of [...pods, next]) await cri.removePod(id);
    assert.ok(existsSync(path.join(daemon.territory.state, "netns")));
    await nothingLeft(daemon.territory);
  });
});

/** What a reboot does to the daemon's things: nothing runs any more, and the state folder is empty. */
async function reboot(daemon: Daemon): Promise<void> {
  const shims = shimsOf(daemon.socket);
  await daemon.kill9();
  const pods = processesInCgroup(daemon.territory.cgroupParent);
  for (const { pid } of [...shims, ...pods]) process.kill(pid, "SIGKILL");
  await until("all are dead", () => processesInCgroup(daemon.territory.cgroupParent).length === 0);
  await removeCgroups(daemon.territory.cgroupParent);
  for (const id of daemon.territory.sandboxes) {
    await rm(shimSocketOf(daemon.socket, id), { force: true });
    // runc's own state is memory too.
    await rm(path.join("/run/containerd/runc/k8s.io", id), { recursive: true, force: true });
  }
  const mounts = await mountsBelow(daemon.territory.state);
  for (const target of mounts.toReversed()) await must("umount", ["-l", target]);
  await rm(daemon.territory.state, { recursive: true, force: true });
  await daemon.start();
}

function askTcp(host: string, port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = net.connect({ host, port, timeout: 60_000 });
  let text = "";
  socket.on("data", (chunk) => (text += chunk.toString()));
  socket.on("end", () => resolve(text));
  socket.on("error", reject);
  socket.on("timeout", () => socket.destroy(new Error(`no answer from ${host}:${port}`)));
  return promise;
}

async function askUdp(host: string, port: number): Promise<string> {
  const socket = dgram.createSocket("udp4");
  try {
    const { promise, resolve } = Promise.withResolvers<string>();
    socket.on("message", (message) => resolve(message.toString()));
    return await until("an answer", () => {
      socket.send("?", port, host);
      return Promise.race([
        promise,
        new Promise<string>((late) => setTimeout(() => late(""), 300)),
      ]);
    });
  } finally {
    socket.close();
  }
}
