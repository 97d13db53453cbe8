// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { type Scratch, scratch } from "../../../../test/support/scratch.ts";
import { until } from "../../../../test/support/until.ts";
import { fault } from "../../../base/errors.ts";
import type { RuntimeConfig } from "../../../config/config.ts";
import { defaultConfig, defaultHandler } from "../../../config/defaults.ts";
import { createLog } from "../../../log/logger.ts";
import { noRuntimeFeatures } from "../../oci-spec/runtime-features.ts";
import { DefaultRuntimeChooser } from "./default-runtime.ts";
import type { NodeFacts } from "./node-facts.ts";
import { identityOf } from "./program-identity.ts";
import type { TrialOutcome } from "./remembered-choice.ts";

const works: TrialOutcome = {
  features: { ...noRuntimeFeatures, cgroupNamespaces: true },
  version: "1.8.1",
  reason: "it works",
};
const fails: TrialOutcome = { features: undefined, version: "1.8.1", reason: "it does not" };
const runcFeatures = { ...noRuntimeFeatures, recursiveReadOnlyMounts: true };

/** A node with a crun, whose trials come to what is told. */
class Node {
  readonly crun: string;
  readonly #folder: string;
  readonly #life = new AbortController();
  runtime: RuntimeConfig = defaultConfig.runtime;
  criu = false;
  outcome: () => Promise<TrialOutcome> = () => Promise.resolve(works);
  trials = 0;
  cleared = 0;
  readonly lines: string[] = [];

  constructor({ path: folder }: Scratch) {
    this.#folder = folder;
    this.crun = path.join(folder, "crun");
  }

  /** A daemon of this node. */
  async daemon(): Promise<DefaultRuntimeChooser> {
    const { log } = await createLog(
      { level: "info", format: "json" },
      { stream: { write: (line) => void this.lines.push(line) } },
    );
    const chooser = new DefaultRuntimeChooser({
      config: () => this.runtime,
      features: () => runcFeatures,
      readFacts: (runtime) => this.#facts(runtime),
      tryOut: () => {
        this.trials += 1;
        return this.outcome();
      },
      clear: async () => void (this.cleared += 1),
      file: path.join(this.#folder, "remembered.json"),
      log,
      lifetime: this.#life.signal,
      waits: { restMs: 0, againMs: 0 },
    });
    await chooser.open();
    return chooser;
  }

  /** One that serves, and has found what it can. */
  async settled(): Promise<DefaultRuntimeChooser> {
    const chooser = await this.daemon();
    const { cleared } = this;
    chooser.begin();
    await until("it has begun", () => this.cleared > cleared);
    await chooser.idle();
    return chooser;
  }

  async forget(): Promise<void> {
    await rm(path.join(this.#folder, "remembered.json"), { force: true });
  }

  async damage(): Promise<void> {
    const file = path.join(this.#folder, "remembered.json");
    await writeFile(file, (await readFile(file, "utf8")).replace(/"mountOptions": \[/, "$&7,"));
  }

  async #facts(runtime: RuntimeConfig): Promise<NodeFacts> {
    return {
      table: runtime.handlers["runc"] ?? defaultHandler,
      baseSpec: null,
      unseen: null,
      crun: (await identityOf(this.crun)) ?? null,
      runc: (await identityOf(process.execPath)) ?? null,
      criu: this.criu,
      rdt: false,
      kernel: "6.1.0",
      cgroups: "v2",
      controllers: [],
      seccomp: true,
      apparmor: false,
      selinux: false,
      trial: "1",
    };
  }
}

const { signal } = new AbortController();
const newPod = async (chooser: DefaultRuntimeChooser): Promise<string> => {
  const { name, config, features } = await chooser.forNewPod({ signal });
  assert.deepEqual(features, name === "crun" ? works.features : runcFeatures);
  return config.binaryName || name;
};

async function nodeWithCrun(place: Scratch): Promise<Node> {
  const node = new Node(place);
  await writeFile(node.crun, "first", { mode: 0o755 });
  return node;
}

test("nothing is run before the daemon serves, and pods have runc until crun was tried", async () => {
  await using place = await scratch();
  const node = await nodeWithCrun(place);
  const { promise, resolve } = Promise.withResolvers<TrialOutcome>();
  node.outcome = () => promise;
  const chooser = await node.daemon();
  assert.equal(node.trials, 0);
  chooser.begin();
  await until("it is tried", () => node.trials === 1);
  assert.equal(await newPod(chooser), "runc");
  assert.deepEqual(chooser.describe(), {
    handler: "runc",
    program: "runc",
    by: "no choice yet",
    reason: "crun is being tried",
  });
  resolve(works);
  await chooser.idle();
  assert.equal(await newPod(chooser), node.crun);
  assert.deepEqual(chooser.describe(), {
    handler: "crun",
    program: node.crun,
    by: "choice",
    reason: "it works",
  });
  assert.match(node.lines.join(), /default OCI runtime chosen/);
  assert.deepEqual(
    chooser.flaws().map(({ flaws }) => flaws.map(({ id }) => id)),
    [["CVE-2025-24965"]],
  );
});

test("what was found is remembered for the same node, and for no other", async () => {
  await using place = await scratch();
  for (const outcome of [works, fails]) {
    const node = await nodeWithCrun(place);
    node.outcome = () => Promise.resolve(outcome);
    await node.forget();
    await node.settled();
    // One that fails is tried twice: the node may have been short of something.
    const tried = outcome === works ? 1 : 2;
    assert.equal(node.trials, tried);
    const next = await node.daemon();
    assert.equal(next.describe().reason, outcome.reason, "before anything is run");
    assert.equal(await newPod(next), outcome === works ? node.crun : "runc");
    await node.settled();
    assert.equal(node.trials, tried);

    await writeFile(node.crun, `written over ${outcome.reason}`);
    const after = await node.daemon();
    assert.equal(await newPod(after), "runc");
    await node.settled();
    assert.equal(node.trials, 2 * tried);
    const systemd = { ...defaultHandler, systemdCgroup: true };
    node.runtime = { ...node.runtime, handlers: { runc: systemd } };
    await node.settled();
    assert.equal(node.trials, 3 * tried);
  }
});

test("a damaged memory is none", async () => {
  await using place = await scratch();
  const node = await nodeWithCrun(place);
  await node.settled();
  await node.damage();
  assert.equal(await newPod(await node.daemon()), "runc");
  await node.settled();
  assert.equal(node.trials, 2);
});

test("a trial that comes to no end is not remembered, and pods have runc", async () => {
  await using place = await scratch();
  const node = await nodeWithCrun(place);
  node.outcome = () => Promise.reject(fault("DEADLINE_EXCEEDED", "crun took too long"));
  const chooser = await node.settled();
  assert.equal(await newPod(chooser), "runc");
  assert.match(chooser.describe().reason, /not tried to the end: crun took too long/);
  node.outcome = () => Promise.resolve(works);
  assert.equal(await newPod(await node.settled()), node.crun);
});

test("a crun that is replaced or gone is looked at anew, and not one pod has it meanwhile", async () => {
  await using place = await scratch();
  const node = await nodeWithCrun(place);
  const chooser = await node.settled();
  const { promise, resolve } = Promise.withResolvers<TrialOutcome>();
  node.outcome = () => promise;
  await writeFile(node.crun, "another");
  assert.equal(await newPod(chooser), "runc");
  resolve(works);
  await chooser.idle();
  assert.equal(await newPod(chooser), node.crun);
  await rm(node.crun);
  assert.equal(await newPod(chooser), "runc");
  await chooser.idle();
  assert.match(chooser.describe().reason, /there is no crun on PATH/);
});

test("a configured handler is taken as it is, and a reload may come back from it", async () => {
  await using place = await scratch();
  const node = await nodeWithCrun(place);
  const reload = async (runtime: RuntimeConfig): Promise<void> => {
    const prepared = await chooser.reload.prepare({ ...defaultConfig, runtime }, [], { signal });
    node.runtime = runtime;
    prepared.commit();
    await chooser.idle();
  };
  node.runtime = { ...node.runtime, defaultHandler: "runc" };
  const chooser = await node.settled();
  assert.equal(await newPod(chooser), "runc");
  assert.equal(chooser.describe().by, "configuration");
  assert.equal(node.trials, 0);
  await reload(defaultConfig.runtime);
  assert.equal(await newPod(chooser), node.crun);
  const named = { ...defaultHandler, binaryName: "/opt/runc" };
  await reload({ ...defaultConfig.runtime, handlers: { runc: named } });
  assert.equal(await newPod(chooser), "/opt/runc");
  assert.equal(chooser.describe().program, "/opt/runc");
  node.criu = true;
  await reload(defaultConfig.runtime);
  assert.equal(await newPod(chooser), "runc");
  assert.match(chooser.describe().reason, /criu is installed/);
});
