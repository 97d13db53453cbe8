// SPDX-License-Identifier: Apache-2.0
// On a full disk everything can be looked at, stopped and removed, also after a restart; what needs space is
// refused and leaves nothing; and all works again once there is some. Whatever is freed is taken at once.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { type DiskKind, mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const forever = ["sh", "-c", "trap 'exit 5' TERM; sleep 100000 & wait"];
const full = { code: "RESOURCE_EXHAUSTED", message: /no space left on device|ENOSPC/ };
/** Two records have it, which is more than the database keeps free for new ones. */
const large = { annotations: { large: "x".repeat(1_900_000) } };
/** Less than a record of any size takes. */
const freedBytes = 64 * 1024;
const ours = { namespace: "k8s.io" };

const disks: readonly (readonly ["root" | "state", DiskKind])[] = [
  ["root", "ext4"],
  ["state", "tmpfs"],
];
for (const [folder, kind] of disks) {
  suite(`a ${folder} on a full ${kind}`, { skip: lacking(...podPrograms, "mkfs.ext4") }, () => {
    let place: Scratch;
    let disk: SmallDisk;
    let bed: Testbed;
    let cri: Cri;
    const pods: { readonly pod: RunningPod; readonly containerId: string }[] = [];

    before(async () => {
      place = await scratch();
      const target = await place.folder("disk");
      const image = path.join("/dev/shm", `berth-disk-${place.tag}`);
      disk = mountSmallDisk(kind, target, { bytes: 96 * 1024 * 1024, image });
      const at = path.join(target, folder);
      await mkdir(at);
      bed = await openTestbed({ config: { [folder]: at } });
      ({ cri } = bed);
      for (let index = 0; index < 4; index++) {
        const pod = await cri.runPod();
        const containerId = await cri.startContainer(pod, bed.images.shell.reference, forever);
        pods.push({ pod, containerId });
      }
      const { leases, containers, snapshots } = services();
      await leases.Create({ id: "a-lease" }, ours);
      const spec = {
        type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec",
        value: Buffer.from("{}"),
      };
      await containers.Create(
        { container: { id: "a-container", runtime: { name: "io.containerd.runc.v2" }, spec } },
        ours,
      );
      await snapshots.Prepare(
        { snapshotter: "overlayfs", key: "a-snapshot", labels: { "containerd.io/gc.root": "1" } },
        ours,
      );
      disk.fill();
    });
    after(async () => {
      disk?.clear();
      try {
        await bed?.finish();
      } finally {
        disk?.[Symbol.dispose]();
        await place?.[Symbol.asyncDispose]();
      }
    });

    const services = () => ({
      leases: bed.daemon.client("containerd.services.leases.v1.Leases"),
      containers: bed.daemon.client("containerd.services.containers.v1.Containers"),
      snapshots: bed.daemon.client("containerd.services.snapshots.v1.Snapshots"),
      content: bed.daemon.client("containerd.services.content.v1.Content"),
      images: bed.daemon.client("containerd.services.images.v1.Images"),
    });
    const reference = (): string => bed.images.shell.reference;
    const [first, second, third, fourth] = [0, 1, 2, 3].map((at) => () => pods[at]!);
    const lives = async (): Promise<void> => {
      const { containerId } = fourth!();
      // A shim writes the process of an exec beside its bundle.
      if (folder === "root") {
        assert.equal((await cri.exec(containerId, ["echo", "well"])).stdout, "well\n");
      }
      assert.equal((await cri.status(containerId)).state, "CONTAINER_RUNNING");
    };

    const refused: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["RunPodSandbox", () => cri.runPod()],
      // Folders take nothing of a tmpfs, so a small one would still be taken there.
      ["CreateContainer", () => cri.createContainer(first!().pod, reference(), forever, large)],
      ["PullImage", () => cri.images.PullImage({ image: { image: bed.images.worker.reference } })],
    ];
    /** What has been removed is freed a while later, and would be there for what is to be refused. */
    const fillForGood = async (): Promise<void> => {
      let quiet = 0;
      const isQuiet = (): boolean => {
        quiet = disk.freeBytes() < freedBytes ? quiet + 1 : 0;
        disk.fill();
        return quiet > 5;
      };
      await until("nothing more is freed", isQuiet, { everyMs: 100 });
    };
    test("worker's image goes, so that there is one to pull", async () => {
      const blobs = async (): Promise<number> => {
        let count = 0;
        for await (const { info } of services().content.List({ filters: [] }, ours))
          count += info.length;
        return count;
      };
      const before = await blobs();
      await cri.images.RemoveImage({ image: { image: bed.images.worker.reference } });
      await until("its content goes", async () => (await blobs()) < before);
      await fillForGood();
    });
    for (const [verb, call] of folder === "root" ? refused : refused.slice(0, 1)) {
      test(`${verb} is refused and leaves nothing`, async () => {
        const seen = async (): Promise<unknown> => [
          (await cri.runtime.ListPodSandbox({})).items.length,
          (await cri.runtime.ListContainers({})).containers.length,
          (await cri.images.ListImages({})).images.length,
          (await services().containers.List({}, ours)).containers.length,
        ];
        const before = await seen();
        await fillForGood();
        await assert.rejects(call(), full);
        assert.deepEqual(await seen(), before);
        await lives();
      });
    }

    const verbs: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["StopContainer", () => cri.runtime.StopContainer({ ...first!(), timeout: 10n })],
      ["RemoveContainer", () => cri.runtime.RemoveContainer(first!())],
      ["RemoveContainer of a running one", () => cri.runtime.RemoveContainer(second!())],
      ["StopPodSandbox", () => cri.runtime.StopPodSandbox({ podSandboxId: first!().pod.id })],
      ["RemovePodSandbox", () => cri.runtime.RemovePodSandbox({ podSandboxId: first!().pod.id })],
      [
        "RemovePodSandbox of a running one",
        () => cri.runtime.RemovePodSandbox({ podSandboxId: third!().pod.id }),
      ],
      ["ListContainerStats", () => cri.runtime.ListContainerStats({})],
      ["ImageFsInfo", () => cri.images.ImageFsInfo({})],
      ["deleting a lease", () => services().leases.Delete({ id: "a-lease" }, ours)],
      ["deleting a container", () => services().containers.Delete({ id: "a-container" }, ours)],
      [
        "removing a snapshot",
        () => services().snapshots.Remove({ snapshotter: "overlayfs", key: "a-snapshot" }, ours),
      ],
    ];
    for (const [verb, call] of verbs) {
      test(`${verb} works`, async () => {
        await call();
        disk.fill();
        await lives();
      });
    }

    for (const way of ["stop", "kill9"] as const) {
      test(`a restart (${way}) works, and removing after it`, async () => {
        await bed.daemon[way]();
        disk.fill();
        await bed.daemon.start();
        disk.fill();
        await lives();
        const pod = second!().pod.id;
        if (way === "stop") await cri.runtime.StopPodSandbox({ podSandboxId: pod });
        else await cri.runtime.RemovePodSandbox({ podSandboxId: pod });
        disk.fill();
      });
    }

    test("the last pod, and the image with its content, go", async () => {
      await cri.removePod(fourth!().pod.id);
      await cri.images.RemoveImage({ image: { image: reference() } });
      const { images } = await services().images.List({}, ours);
      assert.deepEqual(
        images.map(({ name }) => name).filter((name) => name === reference()),
        [],
      );
      assert.deepEqual((await cri.runtime.ListPodSandbox({})).items, []);
    });

    test("and with space there is all works again", async () => {
      disk.clear();
      await cri.images.PullImage({ image: { image: reference() } });
      const pod = await cri.runPod();
      const containerId = await cri.startContainer(pod, reference(), ["sleep", "100000"]);
      assert.equal((await cri.exec(containerId, ["echo", "here"])).stdout, "here\n");
      await cri.removePod(pod.id);
    });
  });
}
