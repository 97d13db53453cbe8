// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { it } from "node:test";
import { MemoryRows } from "../../../test/support/cri/memory-rows.ts";
import { Steps } from "../../../test/support/cri/steps.ts";
import { Random } from "../../../test/support/random.ts";
import { silentLogger } from "../../base/logger.ts";
import { MirroredStore } from "../../metadata/mirrored-store.ts";
import { codec } from "../../rpc/codec.ts";
import {
  becomeCreated,
  becomeExited,
  becomeRunning,
  type ContainerRecord,
  containerRecordCodec,
  containersOf,
} from "../store/container-record.ts";
import { RecordStore } from "../store/record-store.ts";
import { toContainerStatus } from "./container.ts";
import { encodedContainerStatus } from "./container-statuses.ts";

type Step = (record: ContainerRecord, random: Random) => ContainerRecord;

/** All that may become of a record. */
const steps: Readonly<Record<string, Step>> = {
  runs: (record, random) =>
    record.state.kind === "created"
      ? becomeRunning(record, { pid: 1 + random.below(1000), startedAtNanos: 10n })
      : record,
  "is taken back": becomeCreated,
  ends: (record, random) =>
    becomeExited(record, {
      finishedAtNanos: BigInt(random.below(1000)),
      exitCode: random.below(256),
      reason: random.isOneIn(2) ? "Error" : "Completed",
      message: "x".repeat(random.below(200)),
    }),
  "cannot be made out": (record) => ({ ...record, state: { kind: "unknown", reason: "no task" } }),
  "has other limits": (record, random) => ({
    ...record,
    resources: codec("runtime.v1.LinuxContainerResources").normalize({
      cpuShares: BigInt(random.below(1000)),
    }),
  }),
  "has another image": (record, random) => ({
    ...record,
    imageName: `app:${random.below(9)}`,
    imageRef: `app@sha256:${random.below(9)}`,
  }),
  "has larger labels": ({ config, ...rest }, random) => ({
    ...rest,
    config: { ...config, labels: { a: "x".repeat(random.below(20_000)) } },
  }),
};

it("what is kept of a container equals a fresh encoding, whatever has become of it", async () => {
  const metadata = new MirroredStore([], new MemoryRows(new Steps()), silentLogger);
  const store = new RecordStore(metadata.table("cri-containers", containerRecordCodec), {
    namespace: "k8s.io",
    noun: "container",
    groupOf: ({ sandboxId }) => sandboxId,
  });
  const random = new Random(13);
  const pods = ["p", "q"];
  for (let round = 0; round < 300; round++) {
    const id = `c${random.below(6)}`;
    const names = Object.keys(steps);
    const name = names[random.below(names.length)] ?? "";
    if (!store.get(id)) await store.put(newRecord(id, pods[random.below(2)] ?? ""));
    else if (random.isOneIn(8)) await store.delete(id);
    else await store.update(id, (record) => steps[name]?.(record, random) ?? record);
    const all = [...store.list()];
    for (const record of all) {
      const fresh = codec("runtime.v1.ContainerStatus").encode(
        toContainerStatus(structuredClone(record)),
      );
      assert.deepEqual(encodedContainerStatus(record), fresh, `${name} of ${id}, round ${round}`);
    }
    for (const pod of pods) {
      const inPod = all.filter(({ sandboxId }) => sandboxId === pod);
      assert.deepEqual(new Set(containersOf(store, pod)), new Set(inPod));
    }
  }
});

function newRecord(id: string, sandboxId: string): ContainerRecord {
  return {
    id,
    name: id,
    sandboxId,
    config: codec("runtime.v1.ContainerConfig").normalize({ metadata: { name: id, attempt: 0 } }),
    createdAtNanos: 1n,
    imageId: "sha256:1",
    imageName: "app:1",
    imageRef: "app@sha256:1",
    imageStopSignal: "",
    logPath: "/log",
    mounts: [],
    resources: null,
    user: { uid: 0, gid: 0, groups: [] },
    cgroupsPath: "/k8s.io/c",
    state: { kind: "created" },
  };
}
