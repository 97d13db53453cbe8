// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { cgroupMounts } from "../../../src/base/os/mount-table.ts";
import { oomScoreFloor } from "../../../src/base/os/oom-score.ts";
import { identify, isAlive } from "../../../src/base/os/proc.ts";
import type { RuntimeTask } from "../../../src/runtime/ports.ts";
import { platformRuntimeSuite } from "../../support/runtime-suite.ts";
import { until } from "../../support/until.ts";
import { availableShims, lacking, namespace, within } from "./rig.ts";
import { SandboxRig, type SandboxSpec } from "./sandbox-rig.ts";

const skip = lacking() ?? false;
const shim = availableShims()[0] ?? "";
const sigkill = { execId: "", signal: 9, all: true };

platformRuntimeSuite(
  "SandboxRuntime",
  async () => {
    const sandbox = await SandboxRig.make(shim);
    return {
      runtime: sandbox.runtime,
      namespace,
      isOneProgram: true,
      createOptions: (id, args) =>
        sandbox.options(id, ({ process }) => {
          process.args = args[0] === "sleep" ? ["/pause"] : ["/pause", "-v"];
        }),
      [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose](),
    };
  },
  { skip },
);

async function started(
  sandbox: SandboxRig,
  id: string,
  change?: (spec: SandboxSpec) => void,
): Promise<RuntimeTask> {
  using place = sandbox.runtime.reserve(namespace, id);
  const task = await place.create(sandbox.options(id, change), within());
  await task.start("", within());
  await until("pause is loaded", () => of(task, "cmdline").startsWith("/pause"));
  return task;
}

function of({ pid }: RuntimeTask, file: string): string {
  return readFileSync(`/proc/${pid}/${file}`, "utf8");
}

test("a sandbox process is confined, in its pod's cgroup and namespaces", { skip }, async () => {
  await using sandbox = await SandboxRig.make(shim);
  const task = await started(sandbox, "confined");
  const status = of(task, "status");
  for (const line of [
    /^Uid:\t65535\t65535\t65535\t65535$/m,
    /^Gid:\t65535\t65535\t65535\t65535$/m,
    /^Groups:\t7 65535 ?$/m,
    ...["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((name) =>
      RegExp(`^${name}:\t0+$`, "m"),
    ),
    /^NoNewPrivs:\t1$/m,
    /^Seccomp:\t2$/m,
    /^NSpid:\t\d+\t1$/m,
  ]) {
    assert.match(status, line);
  }
  assert.equal(of(task, "cmdline"), "/pause\0");
  assert.equal(Number(of(task, "oom_score_adj")), Math.max(-998, oomScoreFloor()));
  for (const name of ["pid", "ipc", "uts", "mnt"]) {
    const own = readlinkSync(`/proc/${task.pid}/ns/${name}`);
    assert.notEqual(own, readlinkSync(`/proc/self/ns/${name}`), name);
  }
  // Of the descriptors only the one that tells of its end leads anywhere.
  const files = readdirSync(`/proc/${task.pid}/fd`).map((fd) =>
    readlinkSync(`/proc/${task.pid}/fd/${fd}`),
  );
  assert.deepEqual(
    files.toSorted(),
    ["/null", "/null", "/null", `${sandbox.rig.bundle("confined")}/alive`].toSorted(),
  );
  assert.match(of(task, "mountinfo"), / \/ ro,nosuid,nodev/);
  assert.equal(of(task, "mountinfo").trim().split("\n").length, 1);
  for (const { place, controllers } of cgroupsOf(task)) {
    if (controllers !== "") assert.ok(place.endsWith("/confined"), `${controllers}: ${place}`);
  }
  assert.deepEqual(
    (await task.pids(within())).map(({ pid }) => pid),
    [task.pid],
  );
  assert.match((await task.stats(within())).type_url, /^io\.containerd\.cgroups\.v[12]\.Metrics$/);
});

function cgroupsOf(task: RuntimeTask): { controllers: string; place: string }[] {
  return of(task, "cgroup")
    .trim()
    .split("\n")
    .map((line) => {
      const [, controllers = "", place = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      return { controllers, place };
    });
}

const hostKinds: readonly { kinds: readonly string[] }[] = [
  { kinds: ["pid"] },
  { kinds: ["ipc"] },
  { kinds: ["pid", "ipc", "uts"] },
];
for (const { kinds } of hostKinds) {
  test(`a sandbox process shares the host's ${kinds.join(", ")}`, { skip }, async () => {
    await using sandbox = await SandboxRig.make(shim);
    const task = await started(sandbox, "shares", (spec) => {
      const { linux } = spec;
      linux.namespaces = linux.namespaces.filter(({ type }) => !kinds.includes(type));
      if (kinds.includes("ipc")) linux.sysctl = {};
      if (kinds.includes("uts")) spec.hostname = "";
    });
    for (const kind of ["pid", "ipc", "uts"]) {
      const own = readlinkSync(`/proc/${task.pid}/ns/${kind}`);
      assert.equal(own === readlinkSync(`/proc/self/ns/${kind}`), kinds.includes(kind), kind);
    }
  });
}

test("SIGTERM ends a sandbox process with 0, and all the world is told", { skip }, async () => {
  await using sandbox = await SandboxRig.make(shim);
  const task = await started(sandbox, "term");
  await task.kill({ execId: "", signal: 15, all: false }, within());
  assert.equal((await task.wait("", within())).exitStatus, 0);
  await task.delete("", within());
  const topics = sandbox.rig.events.map(({ topic }) => topic);
  assert.deepEqual(topics, ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
  const cgroups = (await cgroupMounts()).map(
    ({ mountPoint }) => `${mountPoint}/berth-rt-${process.pid}/term`,
  );
  assert.deepEqual(
    cgroups.filter((folder) => existsSync(folder)),
    [],
  );
});

test("the next daemon knows a sandbox process, and one that ended meanwhile", {
  skip,
}, async () => {
  await using sandbox = await SandboxRig.make(shim);
  const [lives, ended] = [await started(sandbox, "lives"), await started(sandbox, "ended")];
  const { pid } = ended;
  const late = lives.wait("", within());
  const wait = assert.rejects(late, { code: "UNAVAILABLE" });
  await sandbox.runtime[Symbol.asyncDispose]();
  await wait;
  process.kill(pid, "SIGKILL");
  await until("it is gone", () => identify(pid) === undefined);
  const runtime = await sandbox.restart();
  const { recovered, lost } = await runtime.recover(within());
  assert.deepEqual(recovered.map(({ id }) => id).toSorted(), ["ended", "lives"]);
  assert.deepEqual(lost, []);
  const again = runtime.get(namespace, "lives");
  assert.equal((await again?.state("", within()))?.status, "RUNNING");
  assert.equal(again?.pid, lives.pid);
  const gone = runtime.get(namespace, "ended");
  assert.equal((await gone?.wait("", within()))?.exitStatus, 255);
  assert.equal((await gone?.state("", within()))?.status, "STOPPED");
  await again?.kill(sigkill, within());
  assert.equal((await again?.wait("", within()))?.exitStatus, 137);
});

test("the next daemon starts what was created", { skip }, async () => {
  await using sandbox = await SandboxRig.make(shim);
  using place = sandbox.runtime.reserve(namespace, "created");
  await place.create(sandbox.options("created"), within());
  const runtime = await sandbox.restart();
  await runtime.recover(within());
  const task = runtime.get(namespace, "created");
  assert.ok(task);
  assert.equal((await task.state("", within())).status, "CREATED");
  await task.start("", within());
  await until("pause is loaded", () => of(task, "cmdline").startsWith("/pause"));
});

const refused: readonly { name: string; change: (spec: SandboxSpec) => void; why: RegExp }[] = [
  {
    name: "has a hook",
    change: (spec) => Object.assign(spec, { hooks: { prestart: [{ path: "/bin/true" }] } }),
    why: /Unrecognized key: "hooks"/,
  },
  {
    name: "keeps a capability",
    change: ({ process }) => void process.capabilities.bounding.push("CAP_KILL"),
    why: /process\.capabilities\.bounding/,
  },
  {
    name: "names a cgroup that is no scope",
    change: ({ linux }) => void (linux.cgroupsPath = "kubepods.slice:cri-containerd:x.slice"),
    why: /linux\.cgroupsPath/,
  },
  {
    name: "writes beside its sysctls",
    change: ({ linux }) => void (linux.sysctl = { "net/../../self/attr/exec": "x" }),
    why: /linux\.sysctl/,
  },
];
for (const { name, change, why } of refused) {
  test(`a spec that ${name} is no sandbox process`, { skip }, async () => {
    await using sandbox = await SandboxRig.make(shim);
    using place = sandbox.runtime.reserve(namespace, "refused");
    const making = place.create(sandbox.options("refused", change), within());
    await assert.rejects(making, { code: "FAILED_PRECONDITION", message: why });
  });
}

test("a sandbox process that cannot be started leaves nothing, and says why", {
  skip,
}, async () => {
  await using sandbox = await SandboxRig.make(shim);
  using place = sandbox.runtime.reserve(namespace, "fails");
  const nowhere = sandbox.options("fails", ({ linux }) => {
    linux.sysctl = { "kernel.shm_no_such": "1" };
  });
  await assert.rejects(place.create(nowhere, within()), {
    code: "INTERNAL",
    message: 'cannot start sandbox "fails": ENOENT: pause /proc/sys/kernel/shm_no_such',
  });
  assert.deepEqual(sandbox.runtime.list(), []);
});

test("a pod's containers share a shim that was started ahead, and is replaced when it dies", {
  skip,
}, async () => {
  await using sandbox = await SandboxRig.make(shim);
  const { rig } = sandbox;
  const pod = await started(sandbox, "pod");
  const ahead = await until("a shim", () =>
    rig.processes().find(({ command }) => command.includes("-id pod")),
  );
  const inPod = (id: string): Promise<RuntimeTask> => {
    const options = rig.options(["sleep", "1000"], { id, sandboxId: "pod" });
    return rig.create(namespace, id, options, within());
  };
  const [one, two] = [await inPod("one"), await inPod("two")];
  assert.deepEqual([one.shim.pid, two.shim.pid], [ahead.pid, ahead.pid]);
  process.kill(ahead.pid, "SIGKILL");
  await Promise.all([one, two].map((task) => task.wait("", within())));
  const three = await inPod("three");
  assert.notEqual(three.shim.pid, ahead.pid);
  assert.equal((await pod.state("", within())).status, "RUNNING");
  const runtime = await sandbox.restart();
  await runtime.recover(within());
  const four = await inPod("four");
  assert.equal(four.shim.pid, three.shim.pid);
  for (const id of ["three", "four", "pod"]) {
    const task = runtime.get(namespace, id);
    assert.ok(task);
    await task.kill(sigkill, within());
    await task.wait("", within());
    await task.delete("", within());
  }
  const shimProcess = { pid: three.shim.pid, startTime: identify(three.shim.pid)?.startTime ?? "" };
  assert.ok(!isAlive(shimProcess) || shimProcess.startTime === "");
});
