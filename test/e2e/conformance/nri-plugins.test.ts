// SPDX-License-Identifier: Apache-2.0
// NRI plugins on Go's stub beside a real daemon: what they adjust is so in the container, and those that hang, die,
// flood and lie cost others nothing.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFile, mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { toolOrReason } from "../../support/go-tools.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { type Act, GoPlugin, type GoPluginOptions } from "../../support/nri/go-plugin.ts";
import type { Cri, RunningPod } from "../../support/pods.ts";
import { endChild } from "../../support/registry.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const tool = await toolOrReason("nriplugin");
const nvidia = await toolOrReason("nri-nvidia");
const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];
const cdiFolder = "/var/run/cdi";

/** A file of the container's own cgroup, on v1 or v2. */
const cgroupFile = (v1: string, v2: string): string =>
  `cat /sys/fs/cgroup/${v1} 2>/dev/null || cat /sys/fs/cgroup/${v2}`;

interface Adjusted {
  readonly adjust: object | ((home: string) => object);
  /** What a shell in the container is asked, and says; without it the host's file is looked at. */
  readonly ask: string;
  readonly says: RegExp;
}

/** What is looked at of a pod or container as a plugin has it. */
interface SeenMessage {
  readonly id: string;
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly podSandboxId?: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ips?: readonly string[];
  readonly args?: readonly string[];
}

/** What samples and other people's plugins do, each of them once. */
const adjusted: Readonly<Record<string, Adjusted>> = {
  "a variable": {
    adjust: { env: [{ key: "FROM_PLUGIN", value: "a b" }] },
    ask: 'echo "$FROM_PLUGIN"',
    says: /^a b$/,
  },
  "a variable in the place of the image's": {
    adjust: { env: [{ key: "PATH", value: "/bin:/from-plugin" }] },
    ask: 'echo "$PATH"',
    says: /^\/bin:\/from-plugin$/,
  },
  "other arguments": {
    adjust: { args: ["sh", "-c", "trap 'exit 0' TERM; echo from plugin; sleep 99999 & wait"] },
    ask: "tr '\\0' ' ' < /proc/1/cmdline",
    says: /echo from plugin; sleep 99999/,
  },
  "a mount": {
    adjust: (home) => ({
      mounts: [{ destination: "/models", type: "bind", source: home, options: ["rbind", "ro"] }],
    }),
    ask: "cat /models/weights; touch /models/x 2>&1",
    says: /^42[^]*Read-only/,
  },
  "one mount less": {
    adjust: { mounts: [{ destination: "-/dev/shm" }] },
    ask: "grep -c ' /dev/shm ' /proc/mounts",
    says: /^0$/,
  },
  "a device": {
    adjust: {
      linux: {
        devices: [
          { path: "/dev/from-plugin", type: "c", major: 1, minor: 5, fileMode: { value: 0o666 } },
        ],
      },
    },
    ask: "head -c 2 /dev/from-plugin | od -An -tx1",
    says: /^ *00 00$/,
  },
  "a lower limit of open files": {
    adjust: { rlimits: [{ type: "RLIMIT_NOFILE", soft: "256", hard: "512" }] },
    ask: "ulimit -Sn; ulimit -Hn",
    says: /^256\n512$/,
  },
  "shares of the processor": {
    adjust: { linux: { resources: { cpu: { shares: { value: "512" } } } } },
    ask: cgroupFile("cpu/cpu.shares", "cpu.weight"),
    says: /^(512|20)$/,
  },
  "a limit of memory": {
    adjust: { linux: { resources: { memory: { limit: { value: "67108864" } } } } },
    ask: cgroupFile("memory/memory.limit_in_bytes", "memory.max"),
    says: /^67108864$/,
  },
  "a limit of processes": {
    adjust: { linux: { resources: { pids: { limit: "77" } } } },
    ask: cgroupFile("pids/pids.max", "pids.max"),
    says: /^77$/,
  },
  "a readiness to be killed": {
    adjust: { linux: { oomScoreAdj: { value: "900" } } },
    ask: "cat /proc/1/oom_score_adj",
    says: /^900$/,
  },
  "a sysctl": {
    adjust: { linux: { sysctl: { "kernel.shm_rmid_forced": "1" } } },
    ask: "cat /proc/sys/kernel/shm_rmid_forced",
    says: /^1$/,
  },
  "a seccomp profile": {
    adjust: {
      linux: {
        seccompPolicy: {
          defaultAction: "SCMP_ACT_ALLOW",
          architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
          syscalls: [
            { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: { value: 40 } },
          ],
        },
      },
    },
    ask: "mkdir /tmp-from-plugin 2>&1",
    says: /symbolic links/, // ELOOP
  },
};

suite("NRI plugins", { skip: lacking(...podPrograms) || tool.skip }, () => {
  let home: Scratch;
  let bed: Testbed;
  let cri: Cri;
  let shell: string;
  let socket: string;
  let report: string;
  let cdiFile: string;
  let madeFolder: string | undefined;
  before(async () => {
    home = await scratch({ prefix: "nri", space: false });
    socket = path.join(home.path, "nri.sock");
    report = path.join(home.path, "report");
    await writeFile(path.join(home.path, "weights"), "42\n");
    const programs = await home.folder("plugins");
    const configs = await home.folder("conf.d");
    if (tool.skip === false) await copyFile(tool.path, path.join(programs, "05-launched"));
    const launched = {
      report,
      on: {
        CreateContainer: { pod: "launched", adjust: { annotations: { "by/launched": "yes" } } },
      },
    };
    await writeFile(path.join(configs, "launched.conf"), JSON.stringify(launched));
    madeFolder = await mkdir(cdiFolder, { recursive: true });
    cdiFile = path.join(cdiFolder, `berth-${home.tag}.json`);
    const device = {
      name: "0",
      containerEdits: {
        env: ["GPU=0"],
        deviceNodes: [{ path: "/dev/gpu0", hostPath: "/dev/zero" }],
      },
    };
    await writeFile(
      cdiFile,
      JSON.stringify({ cdiVersion: "0.6.0", kind: `berth.test/g${home.tag}`, devices: [device] }),
    );
    bed = await openTestbed({
      config: {
        nri: {
          enable: true,
          // Of a busy machine's plugins, those that are well answer within that, too.
          request_timeout: "6s",
          registration_timeout: "60s",
          socket_path: socket,
          plugin_path: programs,
          plugin_config_path: configs,
          plugins: { strict: { on_failure: "refuse" } },
        },
      },
    });
    ({ cri } = bed);
    shell = bed.images.shell.reference;
  });
  after(async () => {
    await bed?.finish();
    if (cdiFile !== undefined) await rm(cdiFile, { force: true });
    if (madeFolder !== undefined) await rmdir(cdiFolder).catch(() => {});
    await home?.[Symbol.asyncDispose]();
  });

  const plugin = async (options: Partial<GoPluginOptions> = {}): Promise<GoPlugin> => {
    const program = tool.skip === false ? tool.path : "";
    return GoPlugin.start({ program, socket, ...options });
  };
  let names = 0;
  /** A pod by whose name a plugin knows that it is meant. */
  const podNamed = async (prefix: string, annotations = {}): Promise<RunningPod> => {
    names += 1;
    const name = `${prefix}-${names}`;
    return cri.runPod({
      metadata: { name, namespace: "default", uid: `${name}-${home.tag}`, attempt: 0 },
      annotations,
    });
  };
  const sh = async (id: string, ask: string): Promise<string> =>
    (await cri.exec(id, ["sh", "-c", ask])).stdout.trim();

  test("see a pod's life in its order", async () => {
    await using go = await plugin();
    const pod = await podNamed("life", { "on/pod": "yes" });
    const ip = await ipOf(pod);
    const id = await cri.startContainer(pod, shell, forever, {
      metadata: { name: "main", attempt: 0 },
      annotations: { "on/container": "yes" },
    });
    await cri.runtime.UpdateContainerResources({ containerId: id, linux: { cpuShares: 512n } });
    await cri.runtime.StopContainer({ containerId: id, timeout: 60n });
    await cri.runtime.RemoveContainer({ containerId: id });
    await cri.removePod(pod.id);
    await go.got((it) => it.call === "RemovePodSandbox" && it.pod?.id === pod.id);
    assert.deepEqual(go.seen(pod.id), [
      "RunPodSandbox",
      "CreateContainer",
      "PostCreateContainer",
      "StartContainer",
      "PostStartContainer",
      "UpdateContainer",
      "PostUpdateContainer",
      "StopContainer",
      "RemoveContainer",
      "StopPodSandbox",
      "RemovePodSandbox",
    ]);
    const told = go.calls.find((it) => it.call === "CreateContainer" && it.pod?.id === pod.id);
    const seen = told as unknown as Readonly<Record<"pod" | "container", SeenMessage>>;
    assert.deepEqual(
      [seen.pod.namespace, seen.pod.uid, seen.pod.annotations["on/pod"], seen.pod.ips],
      ["default", pod.config.metadata?.uid, "yes", [ip]],
    );
    assert.deepEqual(
      [seen.container.id, seen.container.name, seen.container.podSandboxId],
      [id, "main", pod.id],
    );
    assert.equal(seen.container.annotations["on/container"], "yes");
    assert.equal(seen.container.args?.[0], "sh");
  });

  const ipOf = async (pod: RunningPod): Promise<string> =>
    (await cri.podStatus(pod.id)).network?.ip ?? "";

  for (const [what, { adjust, ask, says }] of Object.entries(adjusted)) {
    test(`give a container ${what}`, async () => {
      const on = {
        CreateContainer: { adjust: typeof adjust === "function" ? adjust(home.path) : adjust },
      };
      await using _go = await plugin({ on });
      const pod = await podNamed("adjusted");
      const id = await cri.startContainer(pod, shell, forever);
      assert.match(await sh(id, ask), says);
      await cri.removePod(pod.id);
    });
  }

  test("give a container hooks", async () => {
    const file = path.join(home.path, "hooked");
    const hook = { path: "/bin/sh", args: ["sh", "-c", `cat > ${file}`] };
    await using _go = await plugin({
      on: { CreateContainer: { adjust: { hooks: { createRuntime: [hook] } } } },
    });
    const pod = await podNamed("hooked");
    const id = await cri.startContainer(pod, shell, forever);
    assert.equal((JSON.parse(await readFile(file, "utf8")) as { id: string }).id, id);
    await cri.removePod(pod.id);
  });

  test("give a container CDI devices, and an unknown one is an error", async () => {
    const named = (name: string): Record<string, Act> => ({
      CreateContainer: { adjust: { CDIDevices: [{ name }] } },
    });
    await using go = await plugin({ on: named(`berth.test/g${home.tag}=0`) });
    const pod = await podNamed("cdi");
    const id = await cri.startContainer(pod, shell, forever);
    assert.match(await sh(id, "echo $GPU; head -c 1 /dev/gpu0 | od -An -tx1"), /^0\s+00$/);
    await go.on(named("berth.test/none=7"));
    await assert.rejects(cri.createContainer(pod, shell, forever), {
      message: /berth\.test\/none=7/,
    });
    await cri.removePod(pod.id);
  });

  test("NVIDIA's gives a container the CDI devices of the pod's annotation", {
    skip: nvidia.skip,
  }, async () => {
    const program = nvidia.skip === false ? nvidia.path : "";
    const child = spawn(program, ["-socket", socket, "-idx", "10"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await using _child = { [Symbol.asyncDispose]: () => endChild(child) };
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const pod = await podNamed("gpu", {
      "nvidia.cdi.k8s.io/container.with": `berth.test/g${home.tag}=0`,
    });
    const start = (name: string): Promise<string> =>
      cri.startContainer(pod, shell, forever, { metadata: { name, attempt: 0 } });
    assert.equal(await sh(await start("with"), "echo $GPU; ls /dev/gpu0"), "0\n/dev/gpu0");
    assert.equal(await sh(await start("without"), "echo $GPU; ls /dev/gpu0"), "");
    await cri.removePod(pod.id);
  });

  test("two that set the same are told by their names", async () => {
    const set = (value: string): Record<string, Act> => ({
      CreateContainer: { adjust: { env: [{ key: "ONE", value }] } },
    });
    await using _a = await plugin({ name: "a", index: "10", on: set("a") });
    await using b = await plugin({ name: "b", index: "20", on: set("b") });
    const pod = await podNamed("conflict");
    await assert.rejects(cri.createContainer(pod, shell, forever), {
      code: "FAILED_PRECONDITION",
      message: /"20-b" and "10-a" both tried to set .*ONE/,
    });
    // Who removes it first may set it.
    await b.on({
      CreateContainer: { adjust: { env: [{ key: "-ONE" }, { key: "ONE", value: "b" }] } },
    });
    const id = await cri.startContainer(pod, shell, forever);
    assert.equal(await sh(id, "echo $ONE"), "b");
    await cri.removePod(pod.id);
  });

  test("change a running container's limits by themselves", async () => {
    await using go = await plugin();
    const pod = await podNamed("update");
    const id = await cri.startContainer(pod, shell, forever);
    const shares = (containerId: string, value: number): object => ({
      containerId,
      linux: { resources: { cpu: { shares: { value: String(value) } } } },
    });
    assert.deepEqual(
      { ...(await go.update([shares(id, 1024)])), answer: "" },
      { answer: "", done: 1, failed: 0, error: "" },
    );
    assert.match(await sh(id, cgroupFile("cpu/cpu.shares", "cpu.weight")), /^(1024|39)$/);
    // Ids that there are not are passed over, whatever they look like.
    const lies = ["none", "../../etc", "", pod.id, "x".repeat(1_000_000)].map((it) =>
      shares(it, 2),
    );
    await go.update([...lies, shares(id, 512)]);
    assert.match(await sh(id, cgroupFile("cpu/cpu.shares", "cpu.weight")), /^(512|20)$/);
    await cri.removePod(pod.id);
  });

  test("change another container's limits while one is created, never its own", async () => {
    await using go = await plugin();
    const pod = await podNamed("other");
    const first = await cri.startContainer(pod, shell, forever);
    const update = (containerId: string): object => ({
      containerId,
      linux: { resources: { cpu: { shares: { value: "777" } } } },
    });
    await go.on({ CreateContainer: { updates: [update(first)], times: 1 } });
    await cri.createContainer(pod, shell, forever);
    await until("the first container has its shares", async () =>
      /^(777|30)$/.test(await sh(first, cgroupFile("cpu/cpu.shares", "cpu.weight"))),
    );
    await cri.removePod(pod.id);
  });

  test("one that refuses is an error with its name, and leaves nothing", async () => {
    await using _go = await plugin({
      on: {
        RunPodSandbox: { pod: "no", error: "no room" },
        CreateContainer: { pod: "yes", error: "not today" },
      },
    });
    await assert.rejects(podNamed("no"), { message: /"20-go".*no room/ });
    const pod = await podNamed("yes");
    await assert.rejects(cri.createContainer(pod, shell, forever), {
      message: /"20-go".*not today/,
    });
    const { containers } = await cri.runtime.ListContainers({ filter: { podSandboxId: pod.id } });
    assert.deepEqual(containers, []);
    await cri.removePod(pod.id);
  });

  const bad: Readonly<Record<string, Act>> = {
    hangs: { pod: "victim", hang: true },
    "dies in the middle": { pod: "victim", die: true },
    "answers late": { pod: "victim", delayMs: 9000 },
  };
  for (const call of ["RunPodSandbox", "CreateContainer", "StartContainer", "StopContainer"]) {
    for (const [what, act] of Object.entries(bad)) {
      test(`one that ${what} at ${call} costs others nothing`, async () => {
        await using go = await plugin({ on: { [call]: act } });
        const beside = await podNamed("beside");
        const first = await cri.startContainer(beside, shell, forever);
        const isDone = { victim: false };
        const victim = (async () => {
          const pod = await podNamed("victim");
          const id = await cri.startContainer(pod, shell, forever);
          await cri.runtime.StopContainer({ containerId: id, timeout: 60n });
          await cri.removePod(pod.id);
          isDone.victim = true;
        })();
        await go.got((it) => it.call === call && it.pod?.name.startsWith("victim") === true);
        assert.equal((await cri.exec(first, ["echo", "served"])).stdout, "served\n");
        const second = await cri.startContainer(beside, shell, forever);
        assert.equal((await cri.exec(second, ["echo", "made"])).stdout, "made\n");
        await victim;
        assert.ok(isDone.victim);
        await cri.removePod(beside.id);
      });
    }
  }

  test("one that must answer and does not is an error with its name", async () => {
    await using go = await plugin({ name: "strict", on: { CreateContainer: { hang: true } } });
    const pod = await podNamed("strict");
    const refusal = { code: "UNAVAILABLE", message: /NRI plugin "20-strict"/ };
    await assert.rejects(cri.createContainer(pod, shell, forever), refusal);
    // At once, while it owes the answer.
    await assert.rejects(cri.createContainer(pod, shell, forever), refusal);
    await go[Symbol.asyncDispose]();
    await cri.removePod(pod.id);
  });

  test("a flood of updates holds nobody up", async () => {
    await using flooder = await plugin({ name: "flooder" });
    const pod = await podNamed("flood");
    const id = await cri.startContainer(pod, shell, forever);
    const update = { containerId: id, linux: { resources: { cpu: { shares: { value: "512" } } } } };
    const flood = flooder.update([update], { times: 25, lanes: 4 });
    for (let round = 0; round < 5; round += 1) {
      const other = await podNamed("beside-flood");
      const container = await cri.startContainer(other, shell, forever);
      assert.equal((await cri.exec(container, ["echo", "served"])).stdout, "served\n");
      await cri.removePod(other.id);
    }
    assert.equal((await flood).failed, 0);
    await cri.removePod(pod.id);
  });

  test("are synchronized with what runs, and again after the daemon was killed", async () => {
    const pod = await podNamed("sync");
    const id = await cri.startContainer(pod, shell, forever);
    const exited = await cri.startContainer(pod, shell, ["true"]);
    await cri.reaches(exited, "CONTAINER_EXITED");
    const told = async (go: GoPlugin): Promise<readonly [string[], string[]]> => {
      const call = await go.got((it) => it.call === "Synchronize");
      return [call["pods"] as string[], call["containers"] as string[]];
    };
    const isThere = ([pods, containers]: readonly [string[], string[]]): void => {
      assert.ok(pods.includes(pod.id) && containers.includes(id));
      assert.ok(!containers.includes(exited), "one that has exited is not told of");
    };
    await using before = await plugin();
    isThere(await told(before));
    await bed.daemon.kill9();
    await before.got((it) => it.call === "closed");
    await bed.daemon.start();
    await using after = await plugin();
    isThere(await told(after));
    await cri.runtime.StopContainer({ containerId: id, timeout: 60n });
    await after.got((it) => it.call === "StopContainer" && it.container?.id === id);
    await cri.removePod(pod.id);
  });

  test("one in the folder is started with the daemon, with its configuration", async () => {
    const pod = await podNamed("launched");
    await using go = await plugin();
    const id = await cri.createContainer(pod, shell, forever);
    const seen = await go.got((it) => it.call === "CreateContainer" && it.container?.id === id);
    const { annotations } = seen.container as unknown as { annotations: Record<string, string> };
    assert.equal(annotations["by/launched"], "yes");
    const calls = (await readFile(report, "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { call: string });
    assert.equal(calls[0]?.call, "Configure");
    assert.ok(calls.some(({ call }) => call === "Synchronize"));
    await cri.removePod(pod.id);
  });
});
