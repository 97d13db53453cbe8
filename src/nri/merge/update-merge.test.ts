// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { codec } from "../../rpc/codec.ts";
import type { ContainerUpdateInit, LinuxResourcesInit } from "../messages.ts";
import { UpdateMerge } from "./update-merge.ts";

const requests = codec("nri.pkg.api.v1alpha1.UpdateContainerRequest");
const updates = codec("nri.pkg.api.v1alpha1.ContainerUpdate");

function asked(): UpdateMerge {
  return new UpdateMerge(
    requests.normalize({
      container: { id: "it" },
      linuxResources: {
        memory: { limit: { value: 100 } },
        cpu: { shares: { value: 10 } },
        hugepageLimits: [{ pageSize: "2MB", limit: 1 }],
        pids: { limit: 7 },
      },
    }),
  );
}

function add(merge: UpdateMerge, plugin: string, ...given: readonly ContainerUpdateInit[]): void {
  merge.add(
    plugin,
    given.map((update) => updates.normalize(update)),
  );
}

function update(
  containerId: string,
  resources: LinuxResourcesInit,
  ignoreFailure = false,
): ContainerUpdateInit {
  return { containerId, linux: { resources }, ignoreFailure };
}

test("without an update of the container the request stands", () => {
  const merge = asked();
  add(merge, "10-a");
  add(merge, "20-b", { containerId: "it" }, { containerId: "it", linux: {} });
  assert.deepEqual(merge.result(), { resources: undefined, updates: [] });
  assert.deepEqual(merge.request, asked().request);
});

test("updates of the container are laid over the request, for the next plugin too", () => {
  const merge = asked();
  add(merge, "10-a", update("it", { cpu: { cpus: "0" }, pids: { limit: 5 } }));
  assert.equal(merge.request?.linuxResources?.cpu?.cpus, "0");
  assert.deepEqual(merge.request?.linuxResources?.cpu?.shares, { value: 10n });
  add(
    merge,
    "20-b",
    update("it", {
      memory: { limit: { value: 200 } },
      hugepageLimits: [{ pageSize: "2MB", limit: 2 }],
    }),
  );
  const { resources } = merge.result();
  assert.deepEqual(resources, merge.request?.linuxResources);
  assert.deepEqual(resources?.memory?.limit, { value: 200n });
  assert.deepEqual(resources?.cpu?.shares, { value: 10n });
  assert.deepEqual(resources?.pids, { limit: 5n });
  assert.deepEqual(resources?.hugepageLimits, [{ pageSize: "2MB", limit: 2n }]);
  assert.throws(() => add(merge, "30-c", update("it", { pids: { limit: 6 } })), {
    code: "FAILED_PRECONDITION",
    message: 'plugins "30-c" and "10-a" both tried to set PidsLimit',
  });
  assert.equal(asked().request?.linuxResources?.cpu?.cpus, "", "what was given is as it was");
});

test("updates of others hold what plugins gave, merged, and fail quietly only where all want that", () => {
  const merge = asked();
  add(
    merge,
    "10-a",
    update("y", { cpu: { shares: { value: 1 } } }, true),
    update("x", { cpu: { shares: { value: 2 } } }, true),
  );
  add(
    merge,
    "20-b",
    update("x", { cpu: { quota: { value: -1 } } }),
    update("y", { cpu: { mems: "0" } }, true),
  );
  const { resources, updates: others } = merge.result();
  assert.equal(resources, undefined);
  assert.deepEqual(
    others.map(({ containerId, ignoreFailure }) => [containerId, ignoreFailure]),
    [
      ["y", true],
      ["x", false],
    ],
  );
  const { cpu, memory, pids } = others[1]?.linux?.resources ?? {};
  assert.deepEqual(
    [cpu?.shares, cpu?.quota, cpu?.period, memory, pids],
    [{ value: 2n }, { value: -1n }, null, null, null],
  );
});

test("an update that may fail is passed over as a whole, and claims nothing", () => {
  const merge = new UpdateMerge(undefined);
  add(merge, "10-a", update("x", { cpu: { shares: { value: 1 } } }));
  add(
    merge,
    "20-b",
    update("x", { memory: { limit: { value: 1 } }, cpu: { shares: { value: 2 } } }, true),
    update("y", { pids: { limit: -5 } }, true),
    update("x", { cpu: { mems: "0" } }, true),
  );
  add(merge, "30-c", update("x", { memory: { limit: { value: 3 } } }));
  const [x, ...more] = merge.result().updates;
  assert.deepEqual(more, []);
  assert.equal(x?.ignoreFailure, false);
  assert.deepEqual(x?.linux?.resources?.cpu?.shares, { value: 1n });
  assert.deepEqual(x?.linux?.resources?.memory?.limit, { value: 3n });
  assert.equal(x?.linux?.resources?.cpu?.mems, "0");
});

test("an answer counts as a whole or not at all", () => {
  const merge = new UpdateMerge(undefined);
  const good = update("x", { pids: { limit: 5 } });
  for (const [bad, message] of [
    [{ ...good, containerId: "" }, /plugin "10-a": update\[1\]\.container_id: it is empty$/],
    [
      update("y", { cpu: { quota: { value: -2 } } }),
      /update\[1\]\.linux\.resources\.cpu\.quota: -2/,
    ],
    [good, /"10-a" and "10-a" both tried to set PidsLimit/],
  ] as const) {
    assert.throws(() => add(merge, "10-a", good, bad), message);
    assert.deepEqual(merge.result().updates, []);
  }
});

test("a hundred thousand updates are refused", () => {
  const all = Array.from({ length: 100_000 }, (_, at) =>
    update(String(at), { pids: { limit: 5 } }),
  );
  assert.throws(
    () => add(new UpdateMerge(undefined), "10-a", ...all),
    /plugin "10-a": update: all answers/,
  );
});
