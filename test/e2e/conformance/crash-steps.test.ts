// SPDX-License-Identifier: Apache-2.0
// kill -9 of the daemon after every step of every verb. Which steps there are is found out by running
// each verb once. Then requests go to their steps, several at once on pods of their own, the daemon dies when
// they are through, is started again, and asked again.
import assert from "node:assert/strict";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { isFault } from "../../../src/base/errors.ts";
import type { Failpoint } from "../../support/failpoints.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { leftovers } from "../../support/leaks.ts";
import type { Cri, RunningPod } from "../../support/pods.ts";
import { isAlive, shimsOf } from "../../support/processes.ts";
import { scratch } from "../../support/scratch.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const forever = ["sh", "-c", "trap 'exit 5' TERM; sleep 100000 & touch /ready; wait"];
/** All but the verbs that make and end networks do without one: it takes time and is not theirs. */
const hostNetwork = {
  linux: { securityContext: { namespaceOptions: { network: "NODE" } } },
} as const;

/** Each crash costs a start of the daemon; the pods of so many requests are in it. */
const atOnce = 8;

/** What may run before the request or after its answer, and is then not come by. */
const mayBeElsewhere = new Set(["task: delete", "task: kill", "bundle: remove"]);

/** Steps after which things are as after another one. */
const sameMoment = new Set([
  "task: exec",
  "ExecSync: drain",
  "ExecSync: delete", // comes after the answer
  "StopPodSandbox: containers",
  "RemoveContainer: stop",
  "RemoveContainer: task",
  "RemovePodSandbox: containers",
  "RemovePodSandbox: network",
  "RemovePodSandbox: shim",
  "RemovePodSandbox: task",
]);

interface Scenario<T> {
  readonly verb: string;
  /** What the request needs; made anew for every crash. */
  readonly prepare: (cri: Cri) => Promise<T>;
  /** Part of what its operation works on. */
  readonly object: (made: T) => string;
  /** The request, the same each time. */
  readonly request: (cri: Cri, made: T) => Promise<unknown>;
  /** After the restart and the retry: what the caller must find. */
  readonly check: (cri: Cri, made: T) => Promise<void>;
}

/** One run of a scenario. */
interface Attempt {
  readonly verb: string;
  readonly object: string;
  readonly request: () => Promise<unknown>;
  readonly check: () => Promise<void>;
}

interface Case {
  readonly verb: string;
  readonly prepare: (cri: Cri) => Promise<Attempt>;
}

function scenario<T>({ verb, prepare, object, request, check }: Scenario<T>): Case {
  return {
    verb,
    prepare: async (cri) => {
      const made = await prepare(cri);
      return {
        verb,
        object: object(made),
        request: () => request(cri, made),
        check: () => check(cri, made),
      };
    },
  };
}

interface Made {
  readonly pod: RunningPod;
  readonly containerId: string;
}

let shell = "";

/** A signal that comes before its trap would be lost on the first process of a namespace. */
async function ready(cri: Cri, containerId: string): Promise<void> {
  await until("the container is ready", async () => {
    return (await cri.exec(containerId, ["test", "-e", "/ready"])).exitCode === 0;
  });
}

async function running(cri: Cri): Promise<Made> {
  const pod = await cri.runPod(hostNetwork);
  const containerId = await cri.startContainer(pod, shell, forever);
  await ready(cri, containerId);
  return { pod, containerId };
}

const cases: readonly Case[] = [
  scenario({
    verb: "RunPodSandbox",
    prepare: async (cri) => ({ config: cri.podConfig() }),
    object: ({ config }) => config.metadata!.uid!,
    request: async (cri, { config }) => {
      const { podSandboxId } = await cri.runtime.RunPodSandbox({ config });
      cri.seen.add(podSandboxId);
    },
    check: async (cri, { config }) => {
      const { items } = await cri.runtime.ListPodSandbox({});
      const ours = items.filter(({ metadata }) => metadata?.uid === config.metadata?.uid);
      assert.deepEqual(
        ours.map(({ state }) => state),
        ["SANDBOX_READY"],
      );
      const pod = { id: ours[0]!.id, config };
      const id = await cri.startContainer(pod, shell, ["sh", "-c", "exit 3"]);
      assert.equal((await cri.reaches(id, "CONTAINER_EXITED")).exitCode, 3);
    },
  }),
  scenario({
    verb: "CreateContainer",
    prepare: async (cri) => {
      const pod = await cri.runPod(hostNetwork);
      const config = cri.containerConfig(shell, forever);
      return { podSandboxId: pod.id, config, sandboxConfig: pod.config };
    },
    object: ({ sandboxConfig }) => sandboxConfig.metadata!.uid!,
    request: (cri, made) => cri.runtime.CreateContainer(made),
    check: async (cri, { podSandboxId }) => {
      const { containers } = await cri.runtime.ListContainers({ filter: { podSandboxId } });
      assert.deepEqual(
        containers.map(({ state }) => state),
        ["CONTAINER_CREATED"],
      );
      await cri.runtime.StartContainer({ containerId: containers[0]!.id });
    },
  }),
  scenario({
    verb: "StartContainer",
    prepare: async (cri) => {
      const pod = await cri.runPod(hostNetwork);
      return { containerId: await cri.createContainer(pod, shell, forever) };
    },
    object: ({ containerId }) => containerId,
    request: async (cri, { containerId }) => {
      // A start that came through needs no second one.
      if ((await cri.status(containerId)).state === "CONTAINER_RUNNING") return;
      await cri.runtime.StartContainer({ containerId });
    },
    check: async (cri, { containerId }) => {
      assert.equal((await cri.status(containerId)).state, "CONTAINER_RUNNING");
      assert.equal((await cri.exec(containerId, ["echo", "here"])).stdout, "here\n");
      await ready(cri, containerId);
      await cri.runtime.StopContainer({ containerId, timeout: 60n });
      assert.equal((await cri.status(containerId)).exitCode, 5);
    },
  }),
  scenario({
    verb: "ExecSync",
    prepare: running,
    object: ({ containerId }) => containerId,
    request: (cri, { containerId }) =>
      cri.runtime.ExecSync({ containerId, cmd: ["sh", "-c", "echo out; exit 4"], timeout: 60n }),
    check: async (cri, { containerId }) => {
      const { exitCode, stdout } = await cri.exec(containerId, ["sh", "-c", "echo out; exit 4"]);
      assert.deepEqual([exitCode, stdout], [4, "out\n"]);
      assert.equal((await cri.status(containerId)).state, "CONTAINER_RUNNING");
    },
  }),
  scenario({
    verb: "StopContainer",
    prepare: running,
    object: ({ containerId }) => containerId,
    request: (cri, { containerId }) => cri.runtime.StopContainer({ containerId, timeout: 60n }),
    check: async (cri, { containerId }) => {
      const { state, exitCode, reason } = await cri.status(containerId);
      assert.deepEqual([state, exitCode, reason], ["CONTAINER_EXITED", 5, "Error"]);
    },
  }),
  scenario({
    verb: "RemoveContainer",
    prepare: running, // after a stop the task may be gone before the verb begins, or not
    object: ({ containerId }) => containerId,
    request: (cri, { containerId }) => cri.runtime.RemoveContainer({ containerId }),
    check: async (cri, { pod }) => {
      const { containers } = await cri.runtime.ListContainers({
        filter: { podSandboxId: pod.id },
      });
      assert.deepEqual(containers, []);
    },
  }),
  scenario({
    verb: "StopPodSandbox",
    prepare: async (cri) => {
      const pod = await cri.runPod();
      return { pod, containerId: await cri.startContainer(pod, shell, forever) };
    },
    object: ({ pod }) => pod.id,
    request: (cri, { pod }) => cri.runtime.StopPodSandbox({ podSandboxId: pod.id }),
    check: async (cri, { pod, containerId }) => {
      assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_NOTREADY");
      const { state, exitCode } = await cri.status(containerId);
      assert.deepEqual([state, exitCode], ["CONTAINER_EXITED", 137]);
    },
  }),
  scenario({
    verb: "RemovePodSandbox",
    prepare: async (cri) => {
      const pod = await cri.runPod();
      await cri.createContainer(pod, shell, forever);
      await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
      return { pod };
    },
    object: ({ pod }) => pod.id,
    request: (cri, { pod }) => cri.runtime.RemovePodSandbox({ podSandboxId: pod.id }),
    check: async (cri, { pod }) => {
      const { items } = await cri.runtime.ListPodSandbox({ filter: { id: pod.id } });
      assert.deepEqual(items, []);
    },
  }),
];

suite("kill -9 of the daemon after every step", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let points: string;
  let witness: Made;
  let inventoryBefore: string[];
  const home = scratch({ prefix: "fp" });

  before(async () => {
    points = (await home).path;
    bed = await openTestbed({
      entry: path.resolve(import.meta.dirname, "../../support/berthd-with-failpoints.ts"),
      env: { BERTH_TEST_FAILPOINTS: points },
    });
    ({ cri } = bed);
    shell = bed.images.shell.reference;
    const pod = await cri.runPod();
    witness = { pod, containerId: await cri.startContainer(pod, shell, forever) };
    await ready(cri, witness.containerId); // or the processes of its beginning are counted
    inventoryBefore = await inventory(bed);
  });
  after(async () => {
    await bed?.finish();
    await (await home)[Symbol.asyncDispose]();
  });

  test("every step", async (t) => {
    const steps = await allSteps();
    for (const { verb } of cases) {
      const own = steps.filter((it) => it.case.verb === verb);
      assert.ok(own.length > 1, `${verb} has ${own.length} steps`);
    }
    for (let at = 0; at < steps.length; at += atOnce) {
      const group = steps.slice(at, at + atOnce);
      await t.test(`${at} to ${at + group.length - 1}`, (inner) => crash(inner, group));
    }
  });

  interface CaseStep {
    readonly case: Case;
    readonly step: string;
  }

  /** Makes each request once, without a crash, and answers what they came by: kills last, beside one another. */
  async function allSteps(): Promise<CaseStep[]> {
    const attempts = await Promise.all(cases.map(({ prepare }) => prepare(cri)));
    const reached = path.join(points, "reached");
    await writeFile(reached, "");
    await Promise.all(attempts.map(({ request }) => request()));
    const lines = (await readFile(reached, "utf8")).split("\n").filter(Boolean);
    await Promise.all(attempts.map(({ check }) => check()));
    await removeOthers();
    const passed = lines.map((line) => JSON.parse(line) as Failpoint);
    const found = attempts.flatMap(({ object }, at) => {
      const own = passed.filter((point) => point.object.includes(object)).map(({ step }) => step);
      const steps = [...new Set(own)].filter((step) => !sameMoment.has(step));
      return steps.map((step) => ({ case: cases[at]!, step }));
    });
    const isKill = ({ step }: CaseStep): boolean => step === "task: kill";
    return [...found.filter((it) => !isKill(it)), ...found.filter(isKill)];
  }

  async function crash(t: TestContext, group: readonly CaseStep[]): Promise<void> {
    const attempts = await Promise.all(group.map((it) => it.case.prepare(cri)));
    const shims = shimsOf(bed.daemon.socket).map(({ pid }) => pid);
    const before = await cri.status(witness.containerId);
    const pid = bed.daemon.pid();
    const armed = attempts.map(({ object }, at) => ({ object, step: group[at]!.step }));
    const left = [...armed];
    await rm(path.join(points, "arrived"), { force: true });
    await arm(left);
    const passedBy: string[] = [];
    await Promise.all(
      attempts.map(async ({ request }, at) => {
        try {
          await request();
        } catch (error) {
          if (!isFault(error, "UNAVAILABLE")) throw error;
          return;
        }
        if (await isComing(armed[at]!, mayBeElsewhere.has(group[at]!.step))) return;
        passedBy.push(group[at]!.step);
        left.splice(left.indexOf(armed[at]!), 1);
        await arm(left);
      }),
    );
    assert.deepEqual(
      passedBy.filter((step) => !mayBeElsewhere.has(step)),
      [],
      "each request came to its step",
    );
    if (left.length > 0) {
      await until("the daemon has killed itself", () => !isAlive(pid));
      await bed.daemon.start();
    }

    const alive = shimsOf(bed.daemon.socket);
    assert.ok(
      new Set(alive.map(({ argv }) => argv.at(argv.indexOf("-id") + 1))).size === alive.length,
    );
    assert.deepEqual(await cri.status(witness.containerId), before, "the other pod is as it was");
    assert.ok(shims.some((known) => alive.some((shim) => shim.pid === known)));

    for (const [at, { verb, request, check }] of attempts.entries()) {
      await t.test(`${verb}, after ${group[at]!.step}`, async () => {
        await request();
        await check();
      });
    }
    await removeOthers();
    await until("nothing more is left than before", async () => {
      assert.deepEqual(await inventory(bed), inventoryBefore);
      return true;
    });
  }

  /** After its answer: whether what it left to be done comes to the step. What may not come is not waited for long. */
  async function isComing(failpoint: Failpoint, mayNot: boolean): Promise<boolean> {
    const line = JSON.stringify(failpoint);
    const arrived = until(
      "the step comes",
      async () => (await readFile(path.join(points, "arrived"), "utf8")).includes(line),
      { timeoutMs: mayNot ? 500 : 60_000 },
    );
    return arrived.catch(() => false);
  }

  /** At once: the daemon may be reading. An empty list is none. */
  async function arm(failpoints: readonly Failpoint[]): Promise<void> {
    const file = path.join(points, "armed");
    await writeFile(`${file}.new`, JSON.stringify(failpoints));
    await rename(`${file}.new`, file);
  }

  async function removeOthers(): Promise<void> {
    const { items } = await cri.runtime.ListPodSandbox({});
    const others = items.filter(({ id }) => id !== witness.pod.id);
    await Promise.all(others.map(({ id }) => cri.removePod(id)));
  }
});

/** Everything that a pod leaves somewhere: on the machine, on disk, in the task service. */
async function inventory({ daemon, cri }: Testbed): Promise<string[]> {
  const call = { namespace: "k8s.io" };
  const [left, folders, { containers }, { tasks }] = await Promise.all([
    leftovers(daemon.territory),
    foldersBelow(daemon.folder, ["root", "state"], 4),
    daemon.client("containerd.services.containers.v1.Containers").List({}, call),
    daemon.client("containerd.services.tasks.v1.Tasks").List({}, call),
  ]);
  const pods = (await cri.runtime.ListPodSandbox({})).items;
  return [
    ...left.map((line) => line.replace(/^(process|shim) \d+.*/, "$1")),
    ...folders,
    ...containers.map(({ id }) => `containers record ${id}`),
    ...tasks.map(({ id, pid }) => `task ${id} ${pid}`),
    ...pods.map(({ id }) => `pod ${id}`),
  ].sort();
}

/** Folders to a depth, but for blobs, which no pod makes. */
async function foldersBelow(
  base: string,
  names: readonly string[],
  depth: number,
): Promise<string[]> {
  if (depth === 0) return [];
  const found: string[] = [];
  for (const name of names) {
    const folder = path.join(base, name);
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    if (name === "blobs") continue;
    found.push(folder);
    const below = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    found.push(...(await foldersBelow(folder, below, depth - 1)));
  }
  return found;
}
