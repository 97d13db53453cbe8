// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../test/support/scratch.ts";
import { specOf } from "../../test/support/spec-input.ts";
import { isFault } from "../base/errors.ts";
import { defaultHandler } from "../config/defaults.ts";

const base = {
  ociVersion: "1.1.0",
  process: {
    env: ["BASE=1"],
    rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 512 }],
    apparmorProfile: "base",
    capabilities: { bounding: ["CAP_CHOWN"] },
  },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/run", type: "tmpfs" },
  ],
  linux: { seccomp: { defaultAction: "SCMP_ACT_LOG" }, resources: { pids: { limit: 99 } } },
};

test("a base spec gives rlimits, seccomp, AppArmor, capabilities and resources; /run is dropped", async () => {
  await using place = await scratch();
  const baseRuntimeSpec = path.join(place.path, "base.json");
  await writeFile(baseRuntimeSpec, JSON.stringify(base));
  const handler = { ...defaultHandler, baseRuntimeSpec };
  const spec = await specOf({ handler, config: { linux: { resources: { cpuShares: 5n } } } });
  assert.equal(spec.ociVersion, "1.1.0");
  assert.deepEqual(spec.process.rlimits, base.process.rlimits);
  assert.equal(spec.process.apparmorProfile, "base");
  assert.deepEqual(spec.process.capabilities?.bounding, ["CAP_CHOWN"]);
  assert.ok(spec.process.env.includes("BASE=1"));
  assert.deepEqual(spec.linux.seccomp, base.linux.seccomp);
  assert.deepEqual([spec.linux.resources.pids?.limit, spec.linux.resources.cpu?.shares], [99, 5]);
  assert.ok(!spec.mounts.some(({ destination }) => destination === "/run"));
  const unconfined = {
    linux: { securityContext: { seccomp: { profileType: "Unconfined" as const } } },
  };
  assert.equal((await specOf({ handler, config: unconfined })).linux.seccomp, undefined);
});

test("without a base spec there are no rlimits and no profiles", async () => {
  const { process, linux } = await specOf();
  assert.deepEqual(
    [process.rlimits, process.apparmorProfile, linux.seccomp],
    [undefined, undefined, undefined],
  );
});

test("a base spec that cannot be used says why", async () => {
  await using place = await scratch();
  const file = path.join(place.path, "base.json");
  const rejected = async (message: RegExp): Promise<void> => {
    await assert.rejects(
      specOf({ handler: { ...defaultHandler, baseRuntimeSpec: file } }),
      (error: unknown) => {
        assert.ok(isFault(error, "FAILED_PRECONDITION"));
        assert.match(error.message, message);
        return true;
      },
    );
  };
  await rejected(/ENOENT/);
  await writeFile(file, "{");
  await rejected(/JSON/);
  await writeFile(file, '{"mounts":[{"type":"proc"}]}');
  await rejected(/mounts\[0\]\.destination/);
});
