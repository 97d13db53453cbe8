// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { mount, unmount } from "../../../src/base/os/mount.ts";
import { MountFlag } from "../../../src/base/os/mount-options.ts";
import type { StuckTree } from "../../../src/trees/ports.ts";
import { fill, immutable, nest } from "../../support/foreign-tree.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { writeOciLayout } from "../../support/oci-image.ts";
import type { Cri, RunningPod } from "../../support/pods.ts";
import { must } from "../../support/run.ts";
import { pushLayout } from "../../support/test-images.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

/** Just below PATH_MAX for who is inside, and beyond it from the node. */
const deepPath = Array.from({ length: 20 }, () => "n".repeat(200)).join("/");

/** Trees are removed, and counted, after all else that the machine does. */
const atLowPriority = { timeoutMs: 300_000, everyMs: 100 } as const;

suite("hostile trees", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let root: string;
  let state: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    root = path.join(bed.daemon.folder, "root");
    state = bed.daemon.territory.state;
    mkdirSync(containers(), { recursive: true }); // as the first container with files would
  });
  after(() => bed?.finish());

  const snapshots = (): string => path.join(root, "snapshots/overlayfs/snapshots");
  const containers = (): string => path.join(root, "io.berth.cri/containers");
  const numbers = (): Set<string> =>
    new Set(readdirSync(snapshots()).filter((name) => /^\d+$/.test(name)));

  /** A container that sleeps, and its upper folder on the node. */
  async function sleeper(
    pod: RunningPod,
    user: bigint,
    image = bed.images.shell.reference,
  ): Promise<{ readonly id: string; readonly upper: string }> {
    const known = numbers();
    const id = await cri.startContainer(pod, image, ["sleep", "100000"], {
      linux: { securityContext: { runAsUser: { value: user } } },
    });
    const own = [...numbers()].find((name) => !known.has(name)) ?? "";
    return { id, upper: path.join(snapshots(), own, "fs") };
  }

  async function restart(): Promise<void> {
    await bed.daemon.kill9();
    await bed.daemon.start();
  }

  async function nothingIsLeft(of: readonly string[]): Promise<void> {
    await until(
      "all is gone",
      () => {
        const left = [...readdirSync(snapshots()), ...readdirSync(containers())];
        return !left.some((name) => name.startsWith(".doomed") || of.includes(name));
      },
      atLowPriority,
    );
    assert.deepEqual(await stuck(), []);
  }

  async function stuck(): Promise<readonly StuckTree[]> {
    const { info } = await cri.runtime.Status({ verbose: true });
    return JSON.parse(info["stuckRemovals"] ?? "") as StuckTree[];
  }

  /** In the container, as its user. */
  const acts: Readonly<Record<string, readonly string[]>> = {
    "20 folders of 200 characters": ["mkdir", "-p", `/tmp/${deepPath}`],
    "30 more below those": ["sh", "-c", `cd -P /tmp/${deepPath} && mkdir -p ${"m/".repeat(30)}`],
    "names that are not UTF-8": [
      "sh",
      "-c",
      `f=$(printf '\\377\\376\\200'); mkdir /tmp/$f && echo x > /tmp/$f/$f`,
    ],
    "2,000 folders in one another": [
      "sh",
      "-c",
      "cd /tmp; i=0; while [ $i -lt 200 ]; do mkdir -p d/d/d/d/d/d/d/d/d/d && cd -P d/d/d/d/d/d/d/d/d/d; i=$((i+1)); done",
    ],
    "a folder that nobody may read": ["sh", "-c", "mkdir -p /tmp/shut/in && chmod 0 /tmp/shut"],
  };

  test("what an unprivileged container makes goes with it, and the daemon starts", async () => {
    const pod = await cri.runPod();
    const { id, upper } = await sleeper(pod, 1000n);
    for (const [name, cmd] of Object.entries(acts)) {
      const { exitCode, stderr } = await cri.exec(id, cmd);
      assert.equal(exitCode, 0, `${name}: ${stderr}`);
    }
    const counted = await must("du", ["-sx", "--inodes", upper]);
    const expected = BigInt(counted.split("\t")[0] ?? "");
    await until(
      "its usage is right",
      async () => {
        const { stats } = await cri.runtime.ContainerStats({ containerId: id });
        return stats?.writableLayer?.inodesUsed?.value === expected;
      },
      atLowPriority,
    );
    await cri.runtime.RemoveContainer({ containerId: id });
    assert.ok(!numbers().has(path.basename(path.dirname(upper))));
    await restart();
    await nothingIsLeft([id]);
    await cri.removePod(pod.id);
  });

  test("so does what is in an image, and in a volume that an image declares", async () => {
    const layout = path.join(bed.folder, "deep");
    const parts = deepPath.split("/");
    await writeOciLayout(layout, "1", {
      config: {},
      layers: [
        [
          ...parts.map((_, index) => ({ path: parts.slice(0, index + 1).join("/") })),
          { path: `${deepPath}/file`, content: "x" },
        ],
      ],
    });
    const reference = `${bed.registry.host}/deep:1`;
    await pushLayout(layout, "1", reference);
    const known = numbers();
    await cri.images.PullImage({ image: { image: reference } });
    assert.equal(numbers().size, known.size + 1);
    await cri.images.RemoveImage({ image: { image: reference } });
    await restart();
    await nothingIsLeft([]);
    assert.deepEqual(numbers(), known);

    const pod = await cri.runPod();
    const { id } = await sleeper(pod, 0n, bed.images.worker.reference);
    const made = await cri.exec(id, ["mkdir", "-p", `/data/${deepPath}`]);
    assert.equal(made.exitCode, 0, made.stderr);
    assert.ok(readdirSync(containers()).includes(id));
    const filled = await cri.exec(id, [
      "dd",
      "if=/dev/zero",
      "of=/data/big",
      "bs=1048576",
      "count=9",
    ]);
    assert.equal(filled.exitCode, 0, filled.stderr);
    await until(
      "what lies in the volume is counted",
      async () => {
        const { stats } = await cri.runtime.ContainerStats({ containerId: id });
        return (stats?.writableLayer?.usedBytes?.value ?? 0n) >= BigInt(9 * 2 ** 20);
      },
      atLowPriority,
    );
    await cri.removePod(pod.id);
    assert.ok(!readdirSync(containers()).includes(id));
    await nothingIsLeft([id]);
  });

  test("volumes that are links to one folder do not fill the disk", async () => {
    const layout = path.join(bed.folder, "volumes");
    const names = Array.from({ length: 129 }, (_, index) => `to-usr-${index}`);
    const pod = await cri.runPod();
    const rows: readonly (readonly [number, RegExp])[] = [
      [128, /volumes of the image hold more than 2 times what it has itself, at "\/to-usr-\d+"/],
      [129, /image declares 129 volumes, more than 128/],
    ];
    for (const [count, message] of rows) {
      const tag = String(count);
      const volumes = names.slice(0, count).map((name) => [`/${name}`, {}]);
      await writeOciLayout(layout, tag, {
        config: { Volumes: Object.fromEntries(volumes) as Record<string, object> },
        layers: [
          [
            { path: "usr" },
            { path: "usr/big", content: Buffer.alloc(4 * 2 ** 20, 1) },
            ...names.map((name) => ({ path: name, symlink: "/usr" })),
          ],
        ],
      });
      const reference = `${bed.registry.host}/volumes:${tag}`;
      await pushLayout(layout, tag, reference);
      await cri.images.PullImage({ image: { image: reference } });
      await assert.rejects(cri.createContainer(pod, reference, ["sleep"]), {
        code: "FAILED_PRECONDITION",
        message,
      });
    }
    await cri.removePod(pod.id);
    await nothingIsLeft([]);
    assert.deepEqual(readdirSync(containers()), []);
  });

  test("so do immutable files and a hundred thousand others, while the daemon answers", async () => {
    const pod = await cri.runPod();
    const { id, upper } = await sleeper(pod, 0n);
    mkdirSync(path.join(upper, "wide"));
    fill(path.join(upper, "wide"), 100_000);
    writeFileSync(path.join(upper, "fixed"), "x");
    immutable(path.join(upper, "fixed"));
    nest(upper, 100, "deep");
    immutable(path.join(upper, "deep/deep"));
    immutable(upper);
    await cri.removePod(pod.id);
    const { runtimeName } = await cri.runtime.Version({});
    assert.equal(runtimeName, "berth");
    await restart(); // most likely in the middle of it
    await nothingIsLeft([id]);
  });

  test("a tmpfs that somebody mounted in a running container's rootfs stops no removal", async () => {
    const pod = await cri.runPod();
    const { id } = await sleeper(pod, 0n);
    const rootfs = path.join(state, "io.containerd.runtime.v2.task/k8s.io", id, "rootfs");
    const at = path.join(rootfs, "tmp");
    mount({ source: "tmpfs", target: at, type: "tmpfs", flags: 0, data: "" });
    writeFileSync(path.join(at, "file"), "x");
    await cri.runtime.StopContainer({ containerId: id, timeout: 0n });
    await cri.runtime.RemoveContainer({ containerId: id });
    assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(id));
    await nothingIsLeft([id]);
    await cri.removePod(pod.id);
  });

  test("what cannot be removed is listed, stops neither a removal nor a start, and goes when it can", async () => {
    const held = { source: "tmpfs", target: containers(), type: "tmpfs", data: "" };
    mount({ ...held, flags: 0 });
    using _mount = { [Symbol.dispose]: () => unmount(containers(), { lazy: true }) };
    const pod = await cri.runPod();
    const { id } = await sleeper(pod, 0n, bed.images.worker.reference);
    await cri.runtime.StopContainer({ containerId: id, timeout: 0n });
    mount({ ...held, flags: MountFlag.remount | MountFlag.readOnly });
    const where = path.join(containers(), id);
    const listed = () =>
      until("it is listed", async () => {
        const [one] = await stuck();
        return one?.path === where && one.code === "EROFS";
      });
    await cri.removePod(pod.id);
    await listed();
    assert.match(
      await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text(),
      /^berth_stuck_removals 1$/m,
    );
    await restart();
    await listed();
    await cri.removePod((await cri.runPod()).id);
    mount({ ...held, flags: MountFlag.remount });
    await until("it goes at last", async () => (await stuck()).length === 0, atLowPriority);
    assert.ok(!readdirSync(containers()).includes(id));
  });
});
