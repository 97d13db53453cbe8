// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { duplexPair } from "node:stream";
import { describe, it, mock } from "node:test";
import { FakePlugin } from "../../test/support/nri/fake-plugin.ts";
import { PluggedNode } from "../../test/support/nri/plugged-node.ts";
import { scratch } from "../../test/support/scratch.ts";
import { fault, isFault } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { sleep } from "../base/timers.ts";
import type { ContainerInit, PodSandboxInit } from "./messages.ts";
import { createNri } from "./nri.ts";
import type { CallWatch, ToldEvent } from "./ports.ts";

const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });
const pod = { id: "pod", name: "web", namespace: "default", uid: "u" };
const container = (id = "c1"): ContainerInit => ({ id, podSandboxId: "pod", name: "app" });
const creation = (id?: string) => (): { pod: PodSandboxInit; container: ContainerInit } => ({
  pod,
  container: container(id),
});
const bit = (event: number): number => 2 ** (event - 1);
/** Waits until something holds that other turns of the event loop bring about. */
async function until(holds: () => boolean): Promise<void> {
  const end = call();
  while (!holds()) await sleep(2, end);
}

describe("plugins of a node", () => {
  it("are told who they talk to, and what is there", async () => {
    using node = new PluggedNode({ requestTimeoutMs: 1500, registrationTimeoutMs: 4000 });
    node.pods.set("pod", pod);
    node.containers.set("c1", container());
    const plugin = await node.plugged({ index: "07", name: "one", version: "v0.9.0" });
    assert.deepEqual(await plugin.got("Configure"), {
      config: "",
      runtimeName: "berth",
      runtimeVersion: "0.1.0",
      registrationTimeout: 4000n,
      requestTimeout: 1500n,
      NRIVersion: "v0.12.5",
    });
    assert.deepEqual([...plugin.pods, ...plugin.containers], ["pod", "c1"]);
    const [report] = node.plugins.list();
    assert.partialDeepStrictEqual(report, {
      index: "07",
      name: "one",
      kind: "external",
      version: "v0.9.0",
      state: "serving",
    });
    assert.equal(report?.events.length, 13);
  });

  it("are asked by their index, each for what it has subscribed", async () => {
    using node = new PluggedNode();
    const order: string[] = [];
    const plug = (index: string, events = 0): Promise<unknown> =>
      node.plugged({
        index,
        events,
        on: {
          CreateContainer: async () => {
            order.push(index);
            return { adjust: { annotations: { [`by${index}`]: "me" } } };
          },
        },
      });
    await plug("50");
    await plug("10");
    await plug("30", bit(1) | bit(5));
    await plug("20", bit(4));
    using made = await node.plugins.createContainer(creation(), call());
    assert.deepEqual(order, ["10", "20", "50"]);
    assert.deepEqual(made.adjust?.annotations, { by10: "me", by20: "me", by50: "me" });
    const adjustments = node.plugins
      .list()
      .map(({ calls }) => calls["CreateContainer"]?.adjustments);
    assert.deepEqual(adjustments, [1, 1, undefined, 1]);
  });

  const told: readonly ToldEvent[] = [
    "StopPodSandbox",
    "RemovePodSandbox",
    "PostUpdatePodSandbox",
    "PostCreateContainer",
    "StartContainer",
    "PostStartContainer",
    "PostUpdateContainer",
    "RemoveContainer",
  ];
  for (const kind of told) {
    it(`are told of ${kind}, by a StateChange where they lack the call`, async () => {
      using node = new PluggedNode();
      const modern = await node.plugged();
      const old = await node.plugged({ index: "11", lacks: [kind] });
      const oldest = await node.plugged({ index: "12", lacks: [kind, "StateChange"] });
      const event = { kind, pod: () => pod, container: () => container() };
      await node.plugins.tell(event, call());
      await node.plugins.tell(event, call());
      assert.deepEqual(modern.seen(), [kind, kind]);
      assert.deepEqual(old.seen(), ["StateChange", "StateChange"]);
      assert.deepEqual(oldest.seen(), []);
      const { event: name, pod: subject } = await old.got("StateChange");
      assert.equal(name.replaceAll("_", ""), kind.toUpperCase());
      assert.equal(subject?.id, "pod");
    });
  }

  it("that lack what wants an answer have none", async () => {
    using node = new PluggedNode();
    await node.plugged({
      lacks: [
        "CreateContainer",
        "UpdateContainer",
        "StopContainer",
        "UpdatePodSandbox",
        "ValidateContainerAdjustment",
      ],
    });
    using made = await node.plugins.createContainer(creation(), call());
    assert.equal(made.adjust, undefined);
    const request = () => ({ pod, container: container() });
    assert.equal((await node.plugins.updateContainer(request, call())).resources, undefined);
    assert.deepEqual(await node.plugins.stopContainer(request, call()), []);
    await node.plugins.updatePodSandbox(() => ({ pod }), call());
    assert.equal(node.plugins.list()[0]?.state, "serving");
  });

  it("build nothing and wait for nothing where there are none", async () => {
    using node = new PluggedNode();
    const never = (): never => {
      throw new Error("nobody wants to know");
    };
    assert.equal(node.plugins.active, false);
    using _made = await node.plugins.createContainer(never, call());
    using _pod = await node.plugins.runPodSandbox(never, call());
    await node.plugins.updateContainer(never, call());
    await node.plugins.stopContainer(never, call());
    await node.plugins.tell({ kind: "StartContainer", pod: never }, call());
  });

  it("refuse with their name, and are asked again", async () => {
    using node = new PluggedNode();
    const later = await node.plugged({ index: "20" });
    await node.plugged({
      index: "10",
      on: {
        CreateContainer: async () => {
          throw fault("RESOURCE_EXHAUSTED", "no CPUs left");
        },
      },
    });
    for (const _ of [1, 2]) {
      await assert.rejects(node.plugins.createContainer(creation(), call()), {
        code: "RESOURCE_EXHAUSTED",
        message: 'NRI plugin "10-fake": no CPUs left',
      });
    }
    assert.deepEqual(later.seen(), []);
    assert.deepEqual(
      node.plugins.list().map(({ state }) => state),
      ["serving", "serving"],
    );
  });

  it("fail only a start by what they say about what they are told of", async () => {
    using node = new PluggedNode();
    const refuse = async (): Promise<never> => {
      throw fault("ABORTED", "no");
    };
    await node.plugged({
      on: { StartContainer: refuse, PostStartContainer: refuse, StopPodSandbox: refuse },
    });
    const tell = (kind: ToldEvent): Promise<void> =>
      node.plugins.tell({ kind, pod: () => pod }, call());
    await tell("PostStartContainer");
    await tell("StopPodSandbox");
    await assert.rejects(tell("StartContainer"), /"10-fake": no/);
  });
});

describe("a plugin that joins", () => {
  it("gets what is on its way and not shown yet, once, and is not asked about it", async () => {
    using node = new PluggedNode();
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    await node.plugged({
      on: {
        CreateContainer: async () => {
          asked.resolve();
          await answer.promise;
          return {};
        },
      },
    });
    using _pod = await node.plugins.runPodSandbox(() => pod, call());
    const making = node.plugins.createContainer(creation(), call());
    await asked.promise;
    const second = await node.plugged({ index: "20" });
    assert.deepEqual([...second.pods, ...second.containers], ["pod", "c1"]);
    answer.resolve();
    const made = await making;
    node.containers.set("c1", container());
    const third = await node.plugged({ index: "30" });
    const request = await third.got("Synchronize");
    assert.deepEqual(
      request.containers.map(({ id }) => id),
      ["c1"],
    );
    made[Symbol.dispose]();
    assert.deepEqual(second.seen(), []);
  });

  it("hears of what happens meanwhile behind its Synchronize", async () => {
    using node = new PluggedNode();
    node.containers.set("c1", container());
    const gate = Promise.withResolvers<void>();
    const order: string[] = [];
    const { fake, admitted } = node.plug({
      on: {
        Synchronize: async ({ containers }) => {
          order.push(`Synchronize ${containers.map(({ id }) => id).join()}`);
          await gate.promise;
          return {};
        },
        CreateContainer: async (request) => {
          order.push(`CreateContainer ${request.container?.id}`);
          return {};
        },
        RemoveContainer: async (request) => {
          order.push(`RemoveContainer ${request.container?.id}`);
          return {};
        },
      },
    });
    await fake.register();
    await fake.got("Synchronize");
    node.containers.delete("c1");
    const removing = node.plugins.tell(
      { kind: "RemoveContainer", pod: () => pod, container: () => container() },
      call(),
    );
    const making = node.plugins.createContainer(creation("c2"), call());
    gate.resolve();
    await Promise.all([admitted, removing, making]);
    assert.deepEqual(order, ["Synchronize c1", "RemoveContainer c1", "CreateContainer c2"]);
  });

  it("hears of nothing before its Synchronize, however soon it happens", async () => {
    using node = new PluggedNode();
    const [ours, theirs] = duplexPair();
    let told: Promise<void> | undefined;
    // Looks after every step of what a message leads to.
    const look = async (): Promise<void> => {
      for (let hop = 0; hop < 500; hop += 1) {
        await Promise.resolve();
        if (node.set.size === 0) continue;
        told ??= node.plugins.tell({ kind: "PostStartContainer", pod: () => pod }, call());
      }
    };
    ours.on("data", () => void look());
    const admitted = node.set.admit(ours, { kind: "external" }, call());
    using fake = new FakePlugin(theirs);
    await fake.register();
    await admitted;
    await told;
    assert.deepEqual(
      fake.calls.map(({ method }) => method),
      ["Configure", "Synchronize", "PostStartContainer"],
    );
  });

  it("has no part in what failed", async () => {
    using node = new PluggedNode();
    await node.plugged({
      on: {
        CreateContainer: async () => {
          throw fault("ABORTED", "no");
        },
        RunPodSandbox: async () => {
          throw fault("ABORTED", "no");
        },
      },
    });
    await assert.rejects(node.plugins.createContainer(creation(), call()), /no/);
    await assert.rejects(
      node.plugins.runPodSandbox(() => pod, call()),
      /no/,
    );
    const second = await node.plugged({ index: "20" });
    assert.deepEqual([...second.pods, ...second.containers], []);
  });
});

describe("a plugin that does not answer", () => {
  /** Others that answer are waited for no longer than one that does not, so it is more than a moment. */
  const hung = { requestTimeoutMs: 400 };

  /** A plugin that owes the answer to its first CreateContainer until it is let go. */
  async function hanging(
    node: PluggedNode,
  ): Promise<{ fake: Awaited<ReturnType<PluggedNode["plugged"]>>; go: () => void }> {
    const gate = Promise.withResolvers<void>();
    let asked = 0;
    const fake = await node.plugged({
      on: {
        CreateContainer: async () => {
          asked += 1;
          if (asked === 1) await gate.promise;
          return { adjust: { annotations: { asked: String(asked) } } };
        },
      },
    });
    return { fake, go: gate.resolve };
  }

  it("is told to who counts: what it answered, when, and what it did not", async () => {
    const ended: string[] = [];
    const answered: string[] = [];
    const watch: CallWatch = {
      answered: (name, seconds) => void (seconds >= 0 && answered.push(name)),
      ended: (plugin, name, result) => void ended.push(`${plugin} ${name} ${result}`),
      adjusted: (plugin) => void ended.push(`${plugin} has changed it`),
    };
    using node = new PluggedNode({ ...hung, watch });
    const { fake, go } = await hanging(node);
    using _late = await node.plugins.createContainer(creation("c1"), call());
    using _passedOver = await node.plugins.createContainer(creation("c2"), call());
    go();
    await fake.got("Synchronize", 2);
    await until(() => node.plugins.list()[0]?.state === "serving");
    node.settings = { ...node.settings, requestTimeoutMs: 20_000 };
    using _served = await node.plugins.createContainer(creation("c3"), call());
    const failed = "10-fake CreateContainer failed";
    assert.deepEqual(ended, [
      failed,
      failed,
      "10-fake CreateContainer answered",
      "10-fake has changed it",
    ]);
    assert.deepEqual(answered, [
      "Synchronize",
      "CreateContainer",
      "Synchronize",
      "CreateContainer",
    ]);
  });

  it("is passed over, and synchronized anew when it answers", async () => {
    using node = new PluggedNode(hung);
    const { fake, go } = await hanging(node);
    using first = await node.plugins.createContainer(creation("c1"), call());
    assert.equal(first.adjust, undefined);
    assert.partialDeepStrictEqual(node.plugins.list()[0], {
      state: "late",
      reason: "it has not answered CreateContainer in time",
    });
    // Nobody waits for it again.
    node.settings = { ...node.settings, requestTimeoutMs: 20_000 };
    using second = await node.plugins.createContainer(creation("c2"), call());
    assert.equal(second.adjust, undefined);
    assert.deepEqual(fake.seen(), ["CreateContainer"]);
    go();
    await fake.got("Synchronize", 2);
    await until(() => node.plugins.list()[0]?.state === "serving");
    assert.deepEqual([...fake.containers].sort(), ["c1", "c2"]);
    using third = await node.plugins.createContainer(creation("c3"), call());
    assert.deepEqual(third.adjust?.annotations, { asked: "2" });
  });

  const policies = [
    { name: "by the configuration", changed: { onFailure: "refuse" as const } },
    { name: "by its own entry", changed: { plugins: { fake: { onFailure: "refuse" as const } } } },
    {
      name: "by its own entry, with the index",
      changed: { plugins: { "10-fake": { onFailure: "refuse" as const } } },
    },
    { name: "because it is required", changed: { required: ["fake"] } },
    {
      name: "by its own wish",
      changed: {},
      failurePolicy: { failRequest: true, keepConnected: false },
    },
  ];
  for (const { name, changed, failurePolicy } of policies) {
    it(`refuses what it was to be asked about, ${name}`, async () => {
      using node = new PluggedNode({ ...hung, ...changed });
      await node.plugged({
        ...(failurePolicy === undefined ? {} : { failurePolicy }),
        on: { CreateContainer: () => new Promise(() => {}) },
      });
      for (const _ of [1, 2]) {
        await assert.rejects(node.plugins.createContainer(creation(), call()), (error) => {
          assert.ok(isFault(error, "UNAVAILABLE"));
          assert.match(
            error.message,
            /NRI plugin "10-fake" is needed: it has not answered CreateContainer/,
          );
          return true;
        });
      }
    });
  }

  it("may be passed over although it wants otherwise", async () => {
    using node = new PluggedNode({ ...hung, onFailure: "continue" });
    await node.plugged({
      failurePolicy: { failRequest: true, keepConnected: false },
      on: { CreateContainer: () => new Promise(() => {}) },
    });
    using made = await node.plugins.createContainer(creation(), call());
    assert.equal(made.adjust, undefined);
  });

  it("delays only what it was asked about", async () => {
    using node = new PluggedNode();
    await node.plugged({
      index: "10",
      events: bit(4),
      on: { CreateContainer: () => new Promise(() => {}) },
    });
    const other = await node.plugged({ index: "20" });
    const making = node.plugins.createContainer(creation(), call());
    making.catch(() => {});
    await node.plugins.tell({ kind: "StartContainer", pod: () => pod }, call());
    assert.deepEqual(other.seen(), ["StartContainer"]);
  });

  it("dies in the middle of a create: the create goes on", async () => {
    using node = new PluggedNode();
    const dying = await node.plugged({
      on: {
        CreateContainer: async () => {
          dying[Symbol.dispose]();
          return {};
        },
      },
    });
    using made = await node.plugins.createContainer(creation(), call());
    assert.equal(made.adjust, undefined);
    assert.partialDeepStrictEqual(node.plugins.list(), [
      { state: "gone", reason: "it has closed its connection" },
    ]);
    assert.equal(node.plugins.active, false);
  });

  for (const [what, { keepConnected, events, stays }] of Object.entries({
    "it is gone": { keepConnected: false, events: bit(4), stays: false },
    "it stays, as it wishes": { keepConnected: true, events: bit(4), stays: true },
    "it is gone against its wish, being a validator": {
      keepConnected: true,
      events: bit(4) + bit(14),
      stays: false,
    },
  })) {
    it(`owes its answer for long: ${what}`, async () => {
      using node = new PluggedNode(hung);
      const gate = Promise.withResolvers<void>();
      const plugin = await node.plugged({
        failurePolicy: { failRequest: false, keepConnected },
        events,
        on: {
          CreateContainer: async () => {
            await gate.promise;
            return {};
          },
        },
      });
      mock.timers.enable({ apis: ["setTimeout"] });
      try {
        const making = node.plugins.createContainer(creation(), call());
        await plugin.got("CreateContainer");
        mock.timers.tick(hung.requestTimeoutMs + 50);
        await making.then((made) => made[Symbol.dispose]()).catch(() => {});
        assert.equal(node.plugins.list()[0]?.state, "late");
        mock.timers.tick(30_000);
      } finally {
        mock.timers.reset();
      }
      const [report] = node.plugins.list();
      assert.equal(report?.state, stays ? "late" : "gone");
      if (!stays)
        assert.match(report?.reason ?? "", /has not answered CreateContainer within 30 s/);
      gate.resolve();
      if (stays) await until(() => node.plugins.list()[0]?.state === "serving");
    });
  }

  it("lets go of whoever does not want to wait any longer", async () => {
    using node = new PluggedNode();
    await node.plugged({ on: { CreateContainer: () => new Promise(() => {}) } });
    const stop = new AbortController();
    const making = node.plugins.createContainer(creation(), { signal: stop.signal });
    stop.abort(fault("CANCELLED", "the kubelet has gone"));
    await assert.rejects(making, /the kubelet has gone/);
  });
});

describe("a required plugin", () => {
  it("that is missing refuses containers by its name, but those that bear with it", async () => {
    using node = new PluggedNode({
      required: ["20-pinning"],
      tolerateMissingPluginsAnnotation: "bear.example.com",
    });
    const make = (annotations: Record<string, string>): Promise<Disposable> =>
      node.plugins.createContainer(
        () => ({ pod: { ...pod, annotations }, container: container() }),
        call(),
      );
    const missing = /required NRI plugin "20-pinning" is not connected/;
    await assert.rejects(make({}), missing);
    await assert.rejects(make({ "bear.example.com": "false" }), missing);
    await assert.rejects(make({ "bear.example.com/container.other": "true" }), missing);
    await assert.rejects(
      make({ "bear.example.com": "true", "bear.example.com/pod": "false" }),
      missing,
    );
    for (const key of ["", "/pod", "/container.app"]) {
      (await make({ [`bear.example.com${key}`]: "true" }))[Symbol.dispose]();
    }
    (await make({ "bear.example.com": "1" }))[Symbol.dispose]();
    await assert.rejects(make({ "bear.example.com": "yes" }), { code: "FAILED_PRECONDITION" });
    await node.plugged({ index: "20", name: "pinning" });
    (await make({}))[Symbol.dispose]();
  });
});

describe("validators", () => {
  it("are asked all at once about what came of the others, and any of them can refuse", async () => {
    using node = new PluggedNode();
    const both = Promise.withResolvers<void>();
    let asked = 0;
    const validate = (reject: boolean) => async () => {
      asked += 1;
      if (asked === 2) both.resolve();
      await both.promise;
      return { reject, reason: "too much" };
    };
    await node.plugged({
      index: "10",
      events: bit(4),
      on: { CreateContainer: async () => ({ adjust: { annotations: { a: "b" } } }) },
    });
    const good = await node.plugged({
      index: "20",
      events: bit(14),
      on: { ValidateContainerAdjustment: validate(false) },
    });
    await node.plugged({
      index: "30",
      events: bit(14),
      on: { ValidateContainerAdjustment: validate(true) },
    });
    await assert.rejects(node.plugins.createContainer(creation(), call()), {
      code: "FAILED_PRECONDITION",
      message: 'NRI validator "30-fake" refuses: too much',
    });
    const request = await good.got("ValidateContainerAdjustment");
    assert.deepEqual(request.adjust?.annotations, { a: "b" });
    assert.deepEqual(
      request.plugins.map(({ index }) => index),
      ["10", "20", "30"],
    );
  });

  it("that do not answer refuse, whatever the policy", async () => {
    using node = new PluggedNode({ requestTimeoutMs: 400, onFailure: "continue" });
    await node.plugged({
      events: bit(14),
      on: { ValidateContainerAdjustment: () => new Promise(() => {}) },
    });
    for (const _ of [1, 2]) {
      await assert.rejects(node.plugins.createContainer(creation(), call()), {
        code: "UNAVAILABLE",
      });
    }
  });
});

describe("NRI of a node", () => {
  it("has a socket that only root reaches, in the place of one that was left", async () => {
    await using folder = await scratch();
    const socketPath = path.join(folder.path, "nri", "nri.sock");
    using node = new PluggedNode();
    for (const _ of [1, 2]) {
      await using nri = createNri({
        settings: { ...node.settings, socketPath },
        node: node.state,
        runtime: { name: "berth", version: "0.1.0" },
        log: silentLogger,
      });
      await nri.start(call());
      const modes = [path.dirname(socketPath), socketPath].map(
        (file) => statSync(file).mode & 0o777,
      );
      assert.deepEqual(modes, [0o700, 0o600]);
      const silent = connect({ path: socketPath });
      silent.on("error", () => {}); // the daemon stops before it has said anything
      using plugin = await FakePlugin.connect(socketPath);
      assert.equal(silent.destroyed, false);
      assert.equal(nri.active, true);
      await nri[Symbol.asyncDispose]();
      await plugin.closed;
    }
  });

  it("leaves a socket alone on which somebody else listens", async () => {
    await using folder = await scratch();
    const socketPath = path.join(folder.path, "nri.sock");
    const options = {
      settings: { ...new PluggedNode().settings, socketPath },
      node: new PluggedNode().state,
      runtime: { name: "berth", version: "0.1.0" },
      log: silentLogger,
    };
    await using first = createNri(options);
    await first.start(call());
    {
      await using second = createNri(options);
      await second.start(call());
    }
    using _plugin = await FakePlugin.connect(socketPath);
    assert.equal(first.list().length, 1);
  });
});
