// SPDX-License-Identifier: Apache-2.0
// A damaged record, bundle or shim costs itself and nothing else; it is told of, and can be removed.
// Each start of the daemon finds several damages, each of a pod of its own.
import assert from "node:assert/strict";
import { mkdir, readdir, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, suite, test } from "node:test";
import { makeFifo } from "../../src/base/os/fifo.ts";
import { unmount } from "../../src/base/os/mount.ts";
import { linesOf } from "../support/cri-log.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { isAlive, shimsOf } from "../support/processes.ts";
import { isSandboxInShim } from "../support/sandbox-mode.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const forever = ["sh", "-c", "trap 'exit 5' TERM; sleep 100000 & wait"];
/** Beside a shim that hangs, and until all that is looked at side by side is gone. */
const slow = { timeoutMs: 180_000 };

interface Made {
  readonly pod: RunningPod;
  readonly containerId: string;
}

interface Damage {
  readonly what: string;
  /** Makes what will be damaged. */
  readonly arrange: () => Promise<{
    /** While the daemon is away. */
    readonly damage: () => Promise<void> | void;
    /** What holds after its start. Removes what `arrange` made. */
    readonly check: () => Promise<void>;
  }>;
}

suite("after a restart over damage", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let witness: Made;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    witness = await make();
  });
  after(() => bed?.finish());

  const make = async (): Promise<Made> => {
    const pod = await cri.runPod();
    return {
      pod,
      containerId: await cri.startContainer(pod, bed.images.shell.reference, forever),
    };
  };
  const witnessIsWell = async (): Promise<void> => {
    assert.equal((await cri.podStatus(witness.pod.id)).state, "SANDBOX_READY");
    assert.equal((await cri.exec(witness.containerId, ["echo", "well"])).stdout, "well\n");
  };
  const bundle = (id: string, ...names: string[]): string =>
    path.join(bed.daemon.folder, "state/io.containerd.runtime.v2.task/k8s.io", id, ...names);
  const containerRecords = async (): Promise<string[]> => {
    const service = bed.daemon.client("containerd.services.containers.v1.Containers");
    const { containers } = await service.List({}, { namespace: "k8s.io" });
    return containers.map(({ id }) => id);
  };
  const onlyWitnessIsLeft = async (): Promise<void> => {
    await until(
      "only the other pod is left",
      async () => {
        const ids = [witness.pod.id, witness.containerId].sort();
        assert.deepEqual((await containerRecords()).sort(), ids);
        assert.deepEqual((await readdir(bundle(""))).sort(), ids);
        assert.equal(shimsOf(bed.daemon.socket).length, 1);
        return true;
      },
      slow,
    );
  };

  const isEnded = async (containerId: string): Promise<boolean> =>
    (await cri.status(containerId)).state === "CONTAINER_EXITED";
  const isEndedInItsPod = async ({ pod, containerId }: Made): Promise<void> => {
    // Where another shim hangs the start does not wait until this one is known to be lost.
    await until("it is known to have ended", async () => isEnded(containerId), slow);
    const { exitCode, reason } = await cri.status(containerId);
    assert.deepEqual([exitCode, reason], [255, "Unknown"]);
    assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY");
  };
  /** Damages while the daemon is away, starts it over all of them, and looks at each. */
  const together = (name: string, damages: readonly Damage[]): void => {
    test(name, { concurrency: true }, async (t) => {
      const made = await Promise.all(damages.map(({ arrange }) => arrange()));
      await bed.daemon.kill9();
      for (const { damage } of made) await damage();
      await bed.daemon.start();
      await witnessIsWell();
      // Side by side: several wait for a shim that does not end by itself.
      await Promise.all(
        made.map(({ check }, at) =>
          t.test(damages[at]!.what, async () => {
            await check();
            await witnessIsWell();
          }),
        ),
      );
      await onlyWitnessIsLeft();
    });
  };

  test("a sandbox's row: its pod runs on, its name is free, the next start clears it away", async () => {
    const { pod, containerId } = await make();
    await bed.daemon.kill9();
    damageRow("cri-sandboxes", pod.id);
    await bed.daemon.start();
    await witnessIsWell();
    await assert.rejects(cri.podStatus(pod.id), { code: "NOT_FOUND" });
    await until("it is told", () => isToldOf(pod.id));
    assert.equal((await cri.status(containerId)).state, "CONTAINER_RUNNING");
    const again = await cri.runtime.RunPodSandbox({ config: pod.config });
    cri.seen.add(again.podSandboxId);
    await cri.removePod(again.podSandboxId);
    await cri.runtime.StopContainer({ containerId, timeout: 10n });
    assert.equal((await cri.status(containerId)).exitCode, 5);
    await cri.runtime.RemoveContainer({ containerId });
    await bed.daemon.kill9();
    await bed.daemon.start();
    await witnessIsWell();
    await onlyWitnessIsLeft();
  });

  together("damage to what is known of a pod: it is found all the same", [
    {
      what: "a container's row: its container runs on, and goes with its pod",
      arrange: async () => {
        const { pod, containerId } = await make();
        return {
          damage: () => damageRow("cri-containers", containerId),
          check: async () => {
            await assert.rejects(cri.status(containerId), { code: "NOT_FOUND" });
            assert.ok((await containerRecords()).includes(containerId));
            await until("it is told", () => isToldOf(containerId));
            await cri.removePod(pod.id);
          },
        };
      },
    },
    ...["config.json", "bootstrap.json", "shim-binary-path"].map((file) => ({
      what: `${file} of both bundles cut short`,
      arrange: async () => {
        const { pod, containerId } = await make();
        return {
          damage: async () => {
            for (const id of [pod.id, containerId]) await truncate(bundle(id, file), 7);
          },
          check: async () => {
            assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY");
            assert.equal((await cri.exec(containerId, ["echo", "here"])).stdout, "here\n");
            await cri.runtime.StopContainer({ containerId, timeout: 10n });
            assert.equal((await cri.status(containerId)).exitCode, 5);
            await cri.removePod(pod.id);
          },
        };
      },
    })),
    ...["bootstrap.json", "shim-binary-path", "sandbox", "address"].map((file) => ({
      what: `a FIFO in place of ${file}: nobody waits for it`,
      arrange: async () => {
        const { pod, containerId } = await make();
        return {
          damage: async () => {
            for (const id of [pod.id, containerId]) await fifoAt(bundle(id, file));
          },
          check: async () => {
            assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY");
            if (file !== "sandbox") {
              assert.equal((await cri.exec(containerId, ["echo", "here"])).stdout, "here\n");
            }
            await cri.removePod(pod.id);
          },
        };
      },
    })),
    {
      what: "FIFOs in place of what else is kept, and of what is being written: pods start and end",
      arrange: async () => {
        const { pod } = await make();
        const kept = [
          "root/uuid",
          `root/cni/${pod.id}.json`,
          `root/cni/${pod.id}.json.new`,
          "root/content/ingest/a-folder/ingest.json",
          "state/made-cgroups",
          "state/made-cgroups.new",
          "cni/conf/00-a-fifo.conf",
        ].map((name) => path.join(bed.daemon.folder, name));
        return {
          damage: async () => {
            for (const file of kept) await fifoAt(file);
          },
          check: async () => {
            await bed.daemon
              .client("containerd.services.introspection.v1.Introspection")
              .Server({});
            const { pod: next } = await make();
            await cri.removePod(next.id);
            await cri.removePod(pod.id);
            for (const file of kept) await rm(file, { force: true });
          },
        };
      },
    },
  ]);

  together("a container whose bundle is gone is ended, the pod is not", [
    {
      what: "a bundle without any files",
      arrange: async () => {
        const { pod, containerId } = await make();
        return {
          damage: async () => {
            for (const name of await readdir(bundle(containerId))) {
              if (name !== "rootfs") await rm(bundle(containerId, name), { recursive: true });
            }
          },
          check: async () => {
            await isEndedInItsPod({ pod, containerId });
            const next = await cri.startContainer(pod, bed.images.shell.reference, [
              "echo",
              "next",
            ]);
            await cri.reaches(next, "CONTAINER_EXITED");
            assert.deepEqual(linesOf(await cri.logOf(next)), ["next"]);
            await cri.removePod(pod.id);
          },
        };
      },
    },
    ...["nothing", "a file", "a link to itself"].map((what) => ({
      what: `${what} in place of a bundle`,
      arrange: async () => {
        const { pod, containerId } = await make();
        const { info } = await cri.runtime.ContainerStatus({ containerId, verbose: true });
        const { pid } = JSON.parse(info["info"] ?? "{}") as { pid: number };
        assert.ok(isAlive(pid));
        return {
          damage: async () => {
            unmount(bundle(containerId, "rootfs"), { lazy: true });
            await rm(bundle(containerId), { recursive: true });
            if (what === "a file") await writeFile(bundle(containerId), "");
            if (what === "a link to itself") await symlink(containerId, bundle(containerId));
          },
          check: async () => {
            await isEndedInItsPod({ pod, containerId });
            await until("its process is gone", () => !isAlive(pid));
            await cri.removePod(pod.id);
            await rm(bundle(containerId), { force: true });
          },
        };
      },
    })),
    {
      what: "a shim that is stopped: what is in it is ended, and its pod can be removed",
      arrange: async () => {
        const { pod, containerId } = await make();
        const shim = shimsOf(bed.daemon.socket).find(({ argv }) => argv.includes(pod.id));
        return {
          damage: () => void process.kill(shim!.pid, "SIGSTOP"),
          check: async () => {
            // The start does not wait for it.
            const ended = () => isEnded(containerId);
            await until("it is known to have ended", ended, slow);
            const state = isSandboxInShim ? "SANDBOX_NOTREADY" : "SANDBOX_READY";
            assert.equal((await cri.podStatus(pod.id)).state, state);
            await until("the shim is gone", () => !isAlive(shim!.pid));
            await cri.removePod(pod.id);
          },
        };
      },
    },
    {
      what: "a thousand bundles with nothing in them: they go, and no program is asked about them",
      arrange: () =>
        Promise.resolve({
          damage: async () => {
            for (let at = 0; at < 1_000; at += 1) await mkdir(bundle(`bare-${at}`));
          },
          check: async () => {
            await onlyWitnessIsLeft();
            const lines = await bed.daemon.logLines();
            const asked = lines.filter(
              ({ msg, task }) =>
                String(task).startsWith("bare-") && /could not delete/.test(String(msg)),
            );
            assert.deepEqual(asked, []);
          },
        }),
    },
  ]);

  together("what nobody knows lies in all places: the daemon starts, and tells of it", [
    {
      what: "files and folders",
      arrange: () => {
        const { folder } = bed.daemon;
        const files = [
          "state/io.containerd.runtime.v2.task/a-file",
          "state/io.containerd.runtime.v2.task/k8s.io/a-file",
          "root/content/ingest/a-file",
          "root/io.berth.cri/containers/a-file",
          "root/io.berth.cri/sandboxes/a-file",
          "root/snapshots/overlayfs/snapshots/a-file",
          "root/cni/%ZZ.json",
        ];
        const folders = [
          "root/content/blobs/sha256/a-folder/below",
          "root/content/ingest/a-folder",
          "root/cni/a-folder.json",
          "state/netns/a-folder",
        ];

        return Promise.resolve({
          damage: async () => {
            for (const name of folders) await mkdir(path.join(folder, name), { recursive: true });
            for (const name of files) {
              await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
              await writeFile(path.join(folder, name), "{}");
            }
            await writeFile(path.join(folder, "root/content/ingest/a-folder/ingest.json"), "{}");
            await rm(path.join(folder, "root/uuid"));
            await mkdir(path.join(folder, "root/uuid"));
          },
          check: async () => {
            await until("it is told", async () =>
              (await bed.daemon.log()).includes("what is no blob lies among them"),
            );
            const info = await bed.daemon
              .client("containerd.services.introspection.v1.Introspection")
              .Server({});
            assert.match(info.uuid, /^[0-9a-f-]{36}$/);
            for (const name of [...files, ...folders.slice(1), "root/uuid"]) {
              await rm(path.join(folder, name), { recursive: true, force: true });
            }
            await rm(path.join(folder, "root/content/blobs/sha256/a-folder"), { recursive: true });
          },
        });
      },
    },
    ...[
      "root/pause",
      "root/checkpoint-mounts",
      "root/diff",
      "root/io.containerd.runtime.v2.task",
    ].map((name) => ({
      what: `a file in place of ${name} is moved aside`,
      arrange: () => {
        const place = path.join(bed.daemon.folder, name);
        return Promise.resolve({
          damage: async () => {
            await rename(place, `${place}.away`).catch(() => {});
            await writeFile(place, "");
          },
          check: async () => {
            await until("it is told", async () =>
              (await bed.daemon.logLines()).some(
                (line) =>
                  /in place of a folder was moved aside/.test(String(line["msg"])) &&
                  JSON.stringify(line).includes(place),
              ),
            );
            const pod = await cri.runPod();
            await cri.removePod(pod.id);
            await rm(`${place}.away`, { recursive: true, force: true });
          },
        });
      },
    })),
  ]);

  test("and at the end nothing is left", async () => {
    await cri.removePod(witness.pod.id);
    await nothingLeft(bed.daemon.territory);
  });

  async function fifoAt(file: string): Promise<void> {
    await rm(file, { recursive: true, force: true });
    await mkdir(path.dirname(file), { recursive: true });
    makeFifo(file, 0o600);
  }

  function damageRow(table: string, id: string): void {
    using database = new DatabaseSync(path.join(bed.daemon.folder, "root/meta.db"));
    const { changes } = database
      .prepare(`UPDATE records SET value = substr(value, 1, 40) WHERE tbl = ? AND id = ?`)
      .run(table, id);
    assert.equal(Number(changes), 1);
  }

  async function isToldOf(id: string): Promise<boolean> {
    const lines = await bed.daemon.logLines();
    return lines.some((line) => line["id"] === id && /damaged/.test(String(line["msg"])));
  }
});
