// SPDX-License-Identifier: Apache-2.0
// Plugins of NRI at a real daemon's socket: what they learn, what they change, and what becomes of pods when they fail.
import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { ContainerConfigInit } from "../../src/gen/cri.gen.ts";
import type { ContainerAdjustmentInit } from "../../src/nri/messages.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { FakePlugin, type FakePluginOptions } from "../support/nri/fake-plugin.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { isAlive, processesInCgroup } from "../support/processes.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];
const timeout = 10n;

const memoryLimit =
  "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";

interface VerboseInfo {
  readonly changedBy: readonly { readonly by: string; readonly fields: readonly string[] }[];
  readonly runtimeSpec: { readonly linux: { readonly resources: { cpu: { shares: number } } } };
}

suite("NRI", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let shell: string;
  before(async () => {
    bed = await openTestbed({ config: { nri: { request_timeout: "5s" } } });
    ({ cri } = bed);
    shell = bed.images.shell.reference;
  });
  after(() => bed?.finish());

  const join = (options: FakePluginOptions = {}): Promise<FakePlugin> =>
    FakePlugin.connect(path.join(bed.daemon.folder, "nri/nri.sock"), options);
  const adjusting = (adjust: ContainerAdjustmentInit): FakePluginOptions => ({
    on: { CreateContainer: async () => ({ adjust }) },
  });
  const start = (pod: RunningPod, change: ContainerConfigInit = {}): Promise<string> =>
    cri.startContainer(pod, shell, forever, change);
  const inside = async (id: string, script: string): Promise<string> =>
    (await cri.exec(id, ["sh", "-c", script])).stdout.trim();

  const infoOf = async (containerId: string): Promise<VerboseInfo> => {
    const { info } = await cri.runtime.ContainerStatus({ containerId, verbose: true });
    return JSON.parse(info["info"] ?? "") as VerboseInfo;
  };

  test("a plugin learns of each step in a pod's life", async () => {
    using plugin = await join();
    const pod = await cri.runPod();
    const id = await start(pod);
    const linux = { memoryLimitInBytes: 64n * 1024n * 1024n };
    await cri.runtime.UpdateContainerResources({ containerId: id, linux });
    await cri.runtime.UpdatePodSandboxResources({ podSandboxId: pod.id, resources: linux });
    await cri.runtime.StopContainer({ containerId: id, timeout });
    await cri.runtime.RemoveContainer({ containerId: id });
    await cri.removePod(pod.id);
    await plugin.got("RemovePodSandbox");
    assert.deepEqual(plugin.seen(), [
      "RunPodSandbox",
      "CreateContainer",
      "PostCreateContainer",
      "StartContainer",
      "PostStartContainer",
      "UpdateContainer",
      "PostUpdateContainer",
      "UpdatePodSandbox",
      "PostUpdatePodSandbox",
      "StopContainer",
      "RemoveContainer",
      "StopPodSandbox",
      "RemovePodSandbox",
    ]);
    const { pod: seen } = await plugin.got("RunPodSandbox");
    assert.equal(seen?.id, pod.id);
    assert.notEqual(seen?.pid, 0);
    assert.equal(seen?.ips.length, 1);
    assert.ok(seen?.linux?.namespaces.some(({ type }) => type === "network"));
    const { container } = await plugin.got("CreateContainer");
    assert.equal(container?.id, id);
    assert.deepEqual(container?.args, forever);
    assert.ok(container?.mounts.some(({ destination }) => destination === "/etc/hosts"));
    assert.ok(container?.linux?.resources);
    const { container: stopped } = await plugin.got("StopContainer");
    assert.equal(stopped?.state, "CONTAINER_STOPPED");
  });

  test("what a plugin adjusts is in the container, and told as its doing", async () => {
    const limit = 48 * 1024 * 1024;
    using _plugin = await join({
      index: "20",
      name: "adjuster",
      ...adjusting({
        env: [{ key: "FROM_NRI", value: "yes" }],
        mounts: [
          {
            destination: "/from-nri",
            type: "bind",
            source: bed.folder,
            options: ["rbind", "ro"],
          },
        ],
        rlimits: [{ type: "RLIMIT_NOFILE", soft: 321, hard: 321 }],
        linux: {
          devices: [{ path: "/dev/nri-null", type: "c", major: 1, minor: 3 }],
          resources: { memory: { limit: { value: limit } }, cpu: { shares: { value: 321 } } },
        },
      }),
    });
    const pod = await cri.runPod();
    const id = await start(pod);
    assert.equal(await inside(id, "echo $FROM_NRI"), "yes");
    assert.equal(await inside(id, "ulimit -n"), "321");
    assert.equal(await inside(id, "echo x >/dev/nri-null && echo written"), "written");
    assert.equal(await inside(id, "touch /from-nri/x 2>/dev/null || echo read-only"), "read-only");
    assert.equal(await inside(id, memoryLimit), String(limit));
    const { resources } = await cri.status(id);
    assert.equal(resources?.linux?.memoryLimitInBytes, BigInt(limit));
    assert.deepEqual(
      (await infoOf(id)).changedBy.map(({ by, fields }) => [by, fields.toSorted()]),
      [
        [
          "20-adjuster",
          [
            "CPUShares",
            "Devices /dev/nri-null",
            "Env FROM_NRI",
            "MemLimit",
            "Mounts /from-nri",
            "Rlimits RLIMIT_NOFILE",
          ],
        ],
      ],
    );
    // What a plugin has set is what a kubelet's update begins with.
    const linux = { memoryLimitInBytes: 80n * 1024n * 1024n };
    await cri.runtime.UpdateContainerResources({ containerId: id, linux });
    assert.equal(await inside(id, memoryLimit), String(linux.memoryLimitInBytes));
    assert.equal((await infoOf(id)).runtimeSpec.linux.resources.cpu.shares, 321);
    await cri.removePod(pod.id);
  });

  test("a plugin updates a container while it is asked about its start, and evicts it after that", async () => {
    const limit = 48n * 1024n * 1024n;
    const failed: object[] = [];
    using plugin = await join({
      index: "25",
      name: "busy",
      on: {
        StartContainer: async ({ container }) => {
          const resources = { memory: { limit: { value: limit } } };
          const answer = await plugin.update([
            { containerId: container?.id ?? "", linux: { resources } },
          ]);
          failed.push(...answer.failed);
          return {};
        },
        PostStartContainer: async ({ container }) => {
          if (container?.name !== "evicted") return {};
          const evict = [{ containerId: container.id, reason: "it is noisy" }];
          await plugin.runtime.UpdateContainers({ evict });
          return {};
        },
      },
    });
    const pod = await cri.runPod();
    const id = await start(pod);
    assert.deepEqual(failed, []);
    assert.equal(await inside(id, memoryLimit), String(limit));
    assert.equal((await cri.status(id)).resources?.linux?.memoryLimitInBytes, limit);
    const evicted = await start(pod, { metadata: { name: "evicted" } });
    assert.equal(
      (await cri.status(evicted)).message,
      'evicted by NRI plugin "25-busy": it is noisy',
    );
    await cri.removePod(pod.id);
  });

  test("two plugins that want the same make no container", async () => {
    const env = [{ key: "MINE", value: "1" }];
    using _first = await join({ index: "30", name: "first", ...adjusting({ env }) });
    using _second = await join({ index: "31", name: "second", ...adjusting({ env }) });
    const pod = await cri.runPod();
    await assert.rejects(start(pod), /31-second.*30-first|30-first.*31-second/);
    const { containers } = await cri.runtime.ListContainers({
      filter: { podSandboxId: pod.id },
    });
    assert.deepEqual(containers, []);
    await cri.removePod(pod.id);
  });

  const refused: readonly {
    readonly name: string;
    readonly adjust: ContainerAdjustmentInit;
    /** Of what CreateContainer says, or StartContainer. */
    readonly says: RegExp;
  }[] = [
    {
      name: "a CDI device that nobody knows",
      adjust: { CDIDevices: [{ name: "nobody.example/gpu=0" }] },
      says: /nobody\.example.*; NRI plugin "35-asks" asked for CdiDevices nobody\.example\/gpu=0$/,
    },
    {
      name: "a mount whose source is not there",
      adjust: {
        mounts: [{ destination: "/here", type: "bind", source: "/not there", options: ["rbind"] }],
      },
      says: /; NRI plugin "35-asks" asked for Mounts \/here$/,
    },
    {
      name: "a hook whose program is not there",
      adjust: { hooks: { createRuntime: [{ path: "/not-there" }] } },
      says: /; NRI plugin "35-asks" asked for OciHooks$/,
    },
    {
      name: "CPUs that the machine does not have",
      adjust: { linux: { resources: { cpu: { cpus: "1000" } } } },
      says: /; NRI plugin "35-asks" asked for CPUSetCPUs$/,
    },
    {
      name: "a sysctl that the kernel does not have",
      adjust: { linux: { sysctl: { "net.core.not_there": "1" } } },
      says: /; NRI plugin "35-asks" asked for Sysctl net\.core\.not_there$/,
    },
    {
      name: "a device where something else is",
      adjust: { linux: { devices: [{ path: "/proc/x", type: "c", major: 1, minor: 3 }] } },
      says: /; NRI plugin "35-asks" asked for Devices \/proc\/x$/,
    },
    {
      name: "a program that is not there",
      adjust: { args: ["/not-there"] },
      says: /; NRI plugin "35-asks" asked for Args$/,
    },
  ];

  test("what a plugin wants and cannot be had is refused with its name and the field", async (t) => {
    const pod = await cri.runPod();
    for (const { name, adjust, says } of refused) {
      await t.test(name, async () => {
        const env = [{ key: "OTHER", value: "1" }];
        using _asks = await join({ index: "35", name: "asks", ...adjusting(adjust) });
        using _other = await join({ index: "36", name: "other", ...adjusting({ env }) });
        await assert.rejects(start(pod), (error: Error) => {
          assert.match(error.message, says);
          assert.doesNotMatch(error.message, /36-other/);
          return true;
        });
      });
    }
    await cri.removePod(pod.id);
  });

  test("a plugin that hangs in a create, or dies in it, holds no pod up for good", async () => {
    const asked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const hang = async (): Promise<object> => {
      asked.resolve();
      await release.promise;
      return {};
    };
    const pod = await cri.runPod();
    {
      using _hangs = await join({ index: "40", name: "hangs", on: { CreateContainer: hang } });
      await start(pod);
      await start(pod); // which does not wait for it again
      release.resolve();
    }
    const dying = Promise.withResolvers<void>();
    using dies = await join({
      index: "41",
      name: "dies",
      on: {
        CreateContainer: async () => {
          dying.resolve();
          return new Promise(() => {});
        },
      },
    });
    const making = start(pod);
    await dying.promise;
    dies[Symbol.dispose]();
    await making;
    await cri.removePod(pod.id);
  });

  test("after kills of the daemon each pre-installed plugin runs once, also one that does not end by itself", async () => {
    const { daemon } = bed;
    const [plugins, conf] = ["plugins", "conf.d"].map((each) =>
      path.join(daemon.folder, "nri", each),
    ) as [string, string];
    const support = path.resolve(import.meta.dirname, "../support/nri/launched-plugin.ts");
    const script = `#!/bin/sh\necho $$ >>"$0.pids"\nexec "${process.execPath}" "${support}"\n`;
    const installed = ["07-stays", "08-ends"];
    await Promise.all([plugins, conf].map((each) => mkdir(each, { recursive: true })));
    for (const file of installed) {
      await writeFile(path.join(plugins, file), script, { mode: 0o755 });
      const told = path.join(daemon.folder, `${file}.json`);
      await writeFile(path.join(conf, `${file}.conf`), `${told}\n${file.slice(3)}\n`);
    }
    const pids = async (file: string): Promise<number[]> =>
      (await readFile(path.join(plugins, `${file}.pids`), "utf8")).trim().split("\n").map(Number);
    await daemon.kill9();
    for (let starts = 1; starts <= 2; starts += 1) {
      await daemon.start();
      await until("they serve", async () => {
        const { plugins: listed } = await daemon.client("berth.v1.Nri").List({});
        return listed.filter(({ state }) => state === "serving").length === installed.length;
      });
      for (const file of installed) {
        const started = await pids(file);
        assert.equal(started.length, starts);
        const isLastAlone = (): boolean => {
          assert.deepEqual(started.filter(isAlive), started.slice(-1));
          return true;
        };
        await until(`${file} runs once`, isLastAlone, { timeoutMs: 5_000 });
      }
      if (starts < 2) await daemon.kill9();
    }
    for (const file of installed) await rm(path.join(plugins, file));
    const last = (await Promise.all(installed.map(pids))).flat();
    await daemon.stop();
    await until("none of them runs", () => last.filter(isAlive).length === 0, {
      timeoutMs: 5_000,
    });
    await daemon.start();
  });

  test("after a kill of the daemon a plugin finds what runs, and learns of the rest once", async () => {
    const pod = await cri.runPod();
    const runs = await start(pod);
    const script = "while ! [ -e /signs/end ]; do usleep 100000; done";
    const ends = await cri.startContainer(pod, shell, ["sh", "-c", script, "ending"], {
      mounts: [{ hostPath: bed.folder, containerPath: "/signs", readonly: true }],
    });
    using first = await join();
    assert.ok(first.containers.has(runs));
    // A pod about which a plugin is still asked, which wants it refused without its answer.
    const asked = Promise.withResolvers<void>();
    using _asking = await join({
      index: "60",
      name: "asking",
      failurePolicy: { failRequest: true, keepConnected: false },
      on: {
        RunPodSandbox: async () => {
          asked.resolve();
          return new Promise(() => {});
        },
      },
    });
    const before = await cri.runtime.ListPodSandbox({});
    const refused = assert.rejects(cri.runPod());
    await asked.promise;
    await bed.daemon.kill9();
    await refused;
    await first.closed;
    await writeFile(path.join(bed.folder, "end"), "");
    await until("it has ended", () =>
      processesInCgroup(cri.settings.cgroupParent).every(({ argv }) => argv[3] !== "ending"),
    );
    await bed.daemon.start();
    const { items } = await cri.runtime.ListPodSandbox({});
    assert.deepEqual(
      items.map(({ id, state }) => [id, state]),
      before.items.map(({ id, state }) => [id, state]),
    );
    using second = await join();
    assert.ok(second.pods.has(pod.id));
    assert.ok(second.containers.has(runs));
    assert.ok(!second.containers.has(ends));
    await cri.runtime.RemoveContainer({ containerId: ends });
    await second.got("RemoveContainer");
    assert.deepEqual(second.seen(), ["StopContainer", "RemoveContainer"]);
    await cri.runtime.StopContainer({ containerId: runs, timeout });
    await cri.runtime.RemoveContainer({ containerId: runs });
    await second.got("RemoveContainer", 2);
    assert.deepEqual(second.seen().slice(2), ["StopContainer", "RemoveContainer"]);
    await cri.removePod(pod.id);
  });

  test("a plugin that joins while containers are made loses none", async () => {
    const pods = await Promise.all(Array.from({ length: 4 }, () => cri.runPod()));
    const making = pods.map(async (pod) => {
      const ids: string[] = [];
      for (let made = 0; made < 5; made += 1) {
        ids.push(await cri.createContainer(pod, shell, forever));
      }
      return ids;
    });
    const plugins: FakePlugin[] = [];
    for (let joined = 0; joined < 5; joined += 1) {
      plugins.push(await join({ index: `5${joined}`, name: "joins" }));
    }
    const ids = (await Promise.all(making)).flat();
    for (const plugin of plugins) {
      const known = new Set(plugin.containers);
      for (const { method, request } of plugin.calls) {
        const { container } = request as { container?: { id: string } | null };
        if (method === "CreateContainer" && container) known.add(container.id);
      }
      assert.deepEqual(
        ids.filter((id) => !known.has(id)),
        [],
      );
      plugin[Symbol.dispose]();
    }
    await Promise.all(pods.map(({ id }) => cri.removePod(id)));
  });
});
