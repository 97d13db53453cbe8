// SPDX-License-Identifier: Apache-2.0
// A migration that ends anywhere, with a scripted cluster and scripted services: it is gone on with, and back.
import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, beforeEach, suite, test } from "node:test";
import type { V1Node } from "@kubernetes/client-node";
import { pod, type V1Pod } from "../../test/support/kube/scripted-pod.ts";
import { until } from "../../test/support/until.ts";
import { fault } from "../base/errors.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import type { NodeClient } from "../kube/api/node-client.ts";
import type { Ask } from "./ask.ts";
import { drain } from "./drain.ts";
import type { Edit } from "./edit.ts";
import { readJournal } from "./journal.ts";
import { migrate } from "./migrate.ts";
import type { NodeSetting } from "./node-setting.ts";
import { OpenJournal } from "./open-journal.ts";
import type { Removal } from "./remove-pods.ts";
import { isPodShim } from "./runtime-pods.ts";
import { openServices } from "./services.ts";
import type { Tools } from "./steps.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth-migrate-"));
after(() => removeFolderSync(folder));
const journalFile = path.join(folder, "root", "migration.json");
const config = path.join(folder, "config.yaml");
const call = { signal: new AbortController().signal };
const old = "containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n";

const endpointKey: Edit = {
  file: config,
  kind: "key",
  name: "containerRuntimeEndpoint",
  before: "unix:///run/containerd/containerd.sock",
  after: "unix:///run/berthd/berthd.sock",
};

const daemonPod = pod("agent", { kind: "DaemonSet" });

/** What the world is like, and all that was done to it. */
class World {
  isCordoned = false;
  kubelet = true;
  /** At so many looks from now it is between two starts. */
  looksAway = 0;
  /** Who stops the kubelet only where it runs. */
  isByOperator = false;
  containerd = true;
  pods: V1Pod[] = [daemonPod, pod("web", { kind: "ReplicaSet" })];
  readonly did: string[] = [];
  /** Fails when it comes to this. */
  failsAt = "";
  /** How long a look takes. */
  looking = Promise.resolve();
  /** The API server; it comes back with the kubelet. */
  isAway = false;
  /** Containers on Berth. */
  running = 1;
  removal: Removal | undefined = { removed: 1, left: [] };
  /** Fires, as what nobody reads, when it comes to this. */
  isLostAt = "";
  readonly lost = new AbortController();

  act(what: string): void {
    this.did.push(what);
    if (what === this.isLostAt) this.lost.abort(new Error("lost"));
    if (what === this.failsAt) throw new Error(`no ${what}`);
  }

  get runtime(): string {
    return readFileSync(config, "utf8").includes("berthd") ? "berth" : "containerd";
  }

  readonly api: NodeClient = {
    server: "",
    node: () => Promise.resolve(this.#node()),
    setUnschedulable: (_name, isCordoned) => {
      this.act(isCordoned ? "cordon" : "uncordon");
      this.isCordoned = isCordoned;
      return Promise.resolve();
    },
    annotate: () => Promise.resolve(),
    podsOf: () => Promise.resolve(this.pods.map((one) => this.#now(one))),
    evict: ({ name, uid }) => {
      assert.equal(uid, name, "another pod of that name");
      this.act(`evict ${name}`);
      this.pods = this.pods.filter((one) => one.metadata?.name !== name);
      return Promise.resolve();
    },
    missingRights: () => Promise.resolve([]),
  };

  #node(): V1Node {
    this.act("check");
    const nodeInfo = { containerRuntimeVersion: `${this.runtime}://1` };
    const status = { nodeInfo, conditions: [{ type: "Ready", status: "True" }] };
    return { status, spec: { unschedulable: this.isCordoned } } as V1Node;
  }

  #now(one: V1Pod): V1Pod {
    const containerStatuses = [{ containerID: `${this.runtime}://1`, state: { running: {} } }];
    return { ...one, status: { containerStatuses } } as unknown as V1Pod;
  }

  tools(): Tools {
    const ask: Ask = async (what, question) => {
      if (!this.isAway) return question(this.api);
      throw fault("UNAVAILABLE", `the API server does not give ${what}`);
    };
    return {
      ask,
      services: {
        spoken: (words) => words.join(" "),
        isActive: () => Promise.resolve(false),
        exists: () => Promise.resolve(true),
        change: async (words, isSo) => {
          const what = words.join(" ");
          if (what === "stop kubelet" && this.isByOperator) {
            this.looksAway = 2;
            if (await isSo()) return;
          }
          this.act(what);
          if (what === "stop kubelet") this.kubelet = false;
          if (what === "restart kubelet") {
            this.kubelet = true;
            this.isAway = false;
          }
          if (what.endsWith("containerd")) this.containerd = what.startsWith("enable");
        },
      },
      flags: {
        force: false,
        deleteEmptydirData: false,
        noDrain: false,
        drainMs: 60_000,
        lookMs: 1,
      },
      say: (line) => void this.said.push(line),
      copyImages: () => {
        this.act("images");
        return Promise.resolve();
      },
      kubeletRuns: () => Promise.resolve(this.kubelet && (this.looksAway -= 1) < 0),
      downTimes: { downMs: 60_000, steadyMs: 1, lookMs: 1 },
      removePods: (socket) => {
        assert.equal(this.kubelet, false, "a kubelet would make them again");
        this.act(`remove pods of ${socket}`);
        return Promise.resolve(this.removal);
      },
      running: () => Promise.resolve(this.running),
      killShimsOf: (socket) => {
        this.act(`kill shims of ${socket}`);
        return Promise.resolve(1);
      },
      whyNotReady: () => Promise.resolve(this.containerd ? undefined : "it is off"),
    };
  }

  /** What a node is like that is looked at for the first time. */
  now: () => readonly Edit[] = () => [];

  run(
    direction: "to" | "back",
    more: { readonly dryRun?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const tools = this.tools();
    return migrate(
      {
        node: "n",
        direction,
        dryRun: more.dryRun ?? false,
        journalFile,
        say: (line) => void this.said.push(line),
        isLoss: (reason) => reason === this.lost.signal.reason,
        warn: (line) => void this.warned.push(line),
        command: (to) => `berth migrate --node n --force${to === "back" ? " --back" : ""}`,
        settingNow: async () => ({ edits: this.now() }) as NodeSetting,
        toolsFor: () => tools,
        look: async () => {
          await this.looking;
          return {
            node: "n",
            kind: "kubelet",
            service: "kubelet",
            oldService: "containerd",
            oldEndpoint: "/run/containerd/containerd.sock",
            ourEndpoint: "/run/berthd/berthd.sock",
            oldRuntime: "containerd://1",
            wasCordoned: this.isCordoned,
            annotation: undefined,
            edits: this.edits,
          };
        },
      },
      more.signal === undefined ? this.lost : { signal: more.signal },
    );
  }

  edits: readonly Edit[] = [endpointKey];
  readonly said: string[] = [];
  readonly warned: string[] = [];
}

const acts = [
  "images",
  "cordon",
  "evict web",
  "stop kubelet",
  "remove pods of /run/containerd/containerd.sock",
  "disable --now containerd",
  "restart kubelet",
  "check",
  "uncordon",
];
/** Done again where it is gone on with in the middle. */
const anew = new Set(["cordon", ...acts.slice(3, 6)]);
const actsBack = [
  "cordon",
  "stop kubelet",
  "remove pods of /run/berthd/berthd.sock",
  "enable --now containerd",
  "restart kubelet",
  "check",
  "uncordon",
];

beforeEach(startAnew);

suite("a migration", () => {
  test("does its steps in order, and a second one nothing", async () => {
    const world = new World();
    await world.run("to");
    assert.deepEqual(world.did, acts);
    await world.run("to");
    assert.deepEqual(world.did, acts);
    assert.equal(world.said.at(-1), "n uses Berth already");
    world.did.length = 0;
    await world.run("back");
    // Whether it is cordoned is looked at anew.
    assert.deepEqual(world.did, ["check", ...actsBack]);
    assert.equal(readFileSync(config, "utf8"), old);
    await world.run("back"); // the node uses the runtime that was asked for
    assert.equal(world.said.at(-1), "n is back already, on containerd://1");
    assert.deepEqual(world.did, ["check", ...actsBack]);
  });

  test("is only told with dryRun", async () => {
    const world = new World();
    await world.run("to", { dryRun: true });
    assert.deepEqual(world.did, []);
    assert.equal(await readJournal(journalFile), undefined);
    assert.ok(world.said.includes("would: stop kubelet"), world.said.join("\n"));
    assert.ok(world.said.includes("  evict shop/web"), world.said.join("\n"));
  });

  for (const [at, act] of acts.entries()) {
    test(`that ended at "${act}" goes on there`, async () => {
      const world = new World();
      world.failsAt = act;
      await assert.rejects(world.run("to"), (error: Error) => {
        assert.match(
          error.message,
          /to go on: berth migrate --node n --force; to undo: .* --force --back$/,
        );
        return true;
      });
      assert.deepEqual(world.did, acts.slice(0, at + 1));
      world.failsAt = "";
      await world.run("to");
      assert.equal(world.isCordoned, false);
      assert.equal(world.runtime, "berth");
      // Each of those that were done is done once; what the cluster could have undone meanwhile is done anew.
      const twice = world.did.filter((one, index) => world.did.indexOf(one) !== index);
      assert.deepEqual(
        twice.filter((one) => !anew.has(one)),
        [act].filter((one) => !anew.has(one)),
      );
    });

    test(`that ended at "${act}" goes back from there, whatever ends that`, async () => {
      for (const failing of ["", actsBack[at % actsBack.length]!]) {
        startAnew();
        const world = new World();
        world.failsAt = act;
        await assert.rejects(world.run("to"));
        world.failsAt = failing;
        await world.run("back").catch(() => {});
        world.failsAt = "";
        if ((await readJournal(journalFile))?.isOver !== true) await world.run("back");
        const { isCordoned, kubelet, containerd, runtime } = world;
        assert.deepEqual(
          { isCordoned, kubelet, containerd, runtime, text: readFileSync(config, "utf8") },
          { isCordoned: false, kubelet: true, containerd: true, runtime: "containerd", text: old },
        );
      }
    });
  }

  test("evicts nothing that nobody agreed to, on the way back and where it is gone on with", async () => {
    const world = new World();
    const scratch = pod("scratch", { kind: "ReplicaSet" });
    scratch.spec = { containers: [], volumes: [{ name: "v", emptyDir: {} }] };
    world.failsAt = "evict web";
    await assert.rejects(world.run("to"));
    world.failsAt = "";
    world.pods.push(pod("bare"));
    await assert.rejects(world.run("to"), /n cannot be drained:\nshop\/bare: no controller/);
    world.pods = [daemonPod];
    await world.run("to");
    world.pods.push(scratch);
    await assert.rejects(world.run("back"), /shop\/scratch: their emptyDir volumes go/);
    assert.deepEqual(
      world.did.filter((one) => one.startsWith("evict")),
      ["evict web"],
    );
    // One that goes already is nobody's question any more.
    scratch.metadata!.deletionTimestamp = new Date();
    setTimeout(() => (world.pods = [daemonPod]), 20);
    await world.run("back");
  });

  test("stops a kubelet that a reboot has started, and sets what was lost, before it goes on", async () => {
    for (const act of ["disable --now containerd", "restart kubelet"]) {
      startAnew();
      const world = new World();
      world.failsAt = act;
      await assert.rejects(world.run("to"));
      world.failsAt = "";
      world.kubelet = true;
      writeFileSync(config, old);
      world.did.length = 0;
      await world.run("to");
      assert.deepEqual(world.did.slice(0, 4), acts.slice(3, 7));
      assert.equal(world.runtime, "berth");
    }
  });

  test("leaves a cordon that an operator has set before the way back, and no older one", async () => {
    for (const isCordoned of [true, false]) {
      startAnew();
      const world = new World();
      world.isCordoned = !isCordoned;
      await world.run("to");
      world.isCordoned = isCordoned;
      await world.run("back");
      assert.equal(world.isCordoned, isCordoned);
    }
  });

  test("of two at once, one goes on from before its first look", async () => {
    const looks = Promise.withResolvers<void>();
    const [first, second] = [new World(), new World()];
    first.looking = looks.promise;
    const running = first.run("to");
    // Which of two that come in one moment is first, nobody can say.
    const isHeld = (): boolean =>
      readdirSync(path.dirname(journalFile)).some((name) => name.endsWith(".held"));
    await until("the first has the journal", isHeld);
    await assert.rejects(second.run("to"), new RegExp(`process ${process.pid} is migrating`));
    looks.resolve();
    await running;
    assert.deepEqual([first.did, second.did], [acts, []]);
    assert.deepEqual(readdirSync(path.dirname(journalFile)), [path.basename(journalFile)]);
  });

  test("goes back without an API server that is a pod which Berth cannot start", async () => {
    const world = new World();
    world.failsAt = "check";
    await assert.rejects(world.run("to"));
    world.failsAt = "";
    world.isAway = true;
    await assert.rejects(world.run("back"), /pods run here: --no-drain ends them without/);
    world.running = 0;
    world.did.length = 0;
    await world.run("back");
    assert.deepEqual(world.did, actsBack.slice(1));
  });

  test("has the operator stop a kubelet that is between two starts", async () => {
    const world = new World();
    world.isByOperator = true;
    await world.run("to");
    assert.deepEqual(world.did, acts);
  });

  test("takes no kubelet that is started again for one that is down", async () => {
    for (const isAway of [false, true]) {
      startAnew();
      const world = new World();
      await world.run("to");
      world.pods.push(pod("late", { kind: "ReplicaSet" }));
      world.isAway = isAway;
      world.looksAway = 3;
      world.did.length = 0;
      const back = world.run("back");
      if (isAway) await assert.rejects(back, /pods run here: --no-drain ends them without/);
      else await back;
      assert.equal(world.did.includes("evict late"), !isAway);
      assert.equal(world.did.includes("stop kubelet"), !isAway, "it went on past the pods");
    }
  });

  test("ends by their shims the pods that do not go, or whose runtime is gone", async () => {
    for (const removal of [undefined, { removed: 1, left: ["x: its network does not go"] }]) {
      startAnew();
      const world = new World();
      world.removal = removal;
      await world.run("to");
      await world.run("back");
      assert.deepEqual(
        world.did.filter((one) => one.startsWith("kill")),
        ["kill shims of /run/containerd/containerd.sock", "kill shims of /run/berthd/berthd.sock"],
      );
      const told = world.said.join("\n");
      if (removal !== undefined) assert.match(told, /pod x: its network does not go/);
      assert.equal(world.runtime, "containerd");
    }
  });

  test("that nobody reads any more comes to a kubelet that runs", async () => {
    for (const [at, act] of acts.entries()) {
      startAnew();
      const world = new World();
      world.isLostAt = act;
      const ended = at < acts.length - 1 ? /lost/ : undefined;
      if (ended) await assert.rejects(world.run("to"), ended);
      else await world.run("to");
      const isHeld = at >= 3 && at <= 6;
      const last = isHeld ? 7 : at + 1;
      assert.deepEqual(world.did, acts.slice(0, last), act);
      assert.equal(world.kubelet, true);
    }
  });

  test("writes down its steps in the room that it has from the start", async () => {
    const world = new World();
    world.failsAt = "stop kubelet";
    await assert.rejects(world.run("to"));
    const journal = (await readJournal(journalFile))!;
    await using opened = await OpenJournal.open(journalFile, journal);
    const spare = `${journalFile}.spare`;
    const rooms = (): string[] =>
      [journalFile, spare].map((file) => `${statSync(file).ino} ${statSync(file).size}`).toSorted();
    const before = rooms();
    for (const step of ["a", "b", "c"]) {
      journal.done.push(step);
      await opened.save();
      assert.deepEqual(await readJournal(journalFile), journal);
      assert.deepEqual(rooms(), before);
    }
  });

  test("whose step cannot be written down tells how to go on", async () => {
    const world = new World();
    world.failsAt = "uncordon";
    await assert.rejects(world.run("to"));
    world.failsAt = "";
    mkdirSync(`${journalFile}.before`); // in the way of the next save
    await assert.rejects(world.run("to"), /uncordon: .*\nto go on: berth migrate --node n/);
  });

  suite("whose setting has moved", () => {
    const flags = path.join(folder, "kubeadm-flags.env");
    const flag: Edit = {
      ...endpointKey,
      file: flags,
      kind: "flag",
      name: "container-runtime-endpoint",
    };
    /** On Berth, by a flag that is no longer there. */
    async function moved(): Promise<World> {
      const world = new World();
      world.edits = [flag];
      writeFileSync(flags, `ARGS="--container-runtime-endpoint=${flag.before}"\n`);
      writeFileSync(config, "containerRuntimeEndpoint: unix:///run/berthd/berthd.sock\n");
      await world.run("to");
      assert.match(readFileSync(flags, "utf8"), /berthd/);
      writeFileSync(flags, 'ARGS=""\n');
      world.did.length = 0;
      return world;
    }

    test("goes back where it is now", async () => {
      const world = await moved();
      world.now = () => [{ ...endpointKey, before: endpointKey.after }];
      await world.run("back", { dryRun: true });
      assert.match(
        world.said.join("\n"),
        /would: in .*config\.yaml: containerRuntimeEndpoint unix:\/\/\/run\/containerd/,
      );
      await world.run("back");
      assert.deepEqual(world.did.slice(-actsBack.length), actsBack);
      assert.equal(readFileSync(config, "utf8"), old);
      // And to Berth again, from a second look.
      world.edits = [endpointKey];
      await world.run("to");
      assert.equal(world.runtime, "berth");
    });

    test("is refused before the cordon where it cannot be found, also in a plan", async () => {
      const world = await moved();
      world.now = () => {
        throw new Error("it is in none of them");
      };
      const refused =
        /kubeadm-flags\.env has no --container-runtime-endpoint any more, and where it is now cannot be told: it is in none of them\nset --container-runtime-endpoint to unix:\/\/\/run\/containerd\/containerd\.sock in \S+ by hand, and run this again; nothing has been changed$/;
      await assert.rejects(world.run("back", { dryRun: true }), refused);
      await assert.rejects(world.run("back"), refused);
      assert.deepEqual(
        world.did.filter((one) => one !== "check"),
        [],
      );
      writeFileSync(flags, `ARGS="--container-runtime-endpoint=${flag.before}"\n`);
      writeFileSync(config, old);
      await world.run("back");
      assert.deepEqual(world.did.slice(-actsBack.length), actsBack);
    });

    test("and is a second one to a node that uses Berth by it", async () => {
      const world = await moved();
      world.now = () => [{ ...endpointKey, before: endpointKey.after }];
      await world.run("to"); // looks at the node anew, in place of failing for the flag
      assert.ok(world.did.includes("restart kubelet"));
    });

    test("is refused where the file cannot be changed", async () => {
      const world = new World();
      await world.run("to");
      world.did.length = 0;
      writeFileSync(config, "containerRuntimeEndpoint: >-\n  unix:///run/berthd/berthd.sock\n");
      await assert.rejects(
        world.run("back"),
        /cannot set containerRuntimeEndpoint .*\nset it by hand in \S+ \(containerRuntimeEndpoint unix:\/\/\/run\/containerd/,
      );
      assert.deepEqual(
        world.did.filter((one) => one !== "check"),
        [],
      );
    });
  });

  test("that ends after the kubelet was stopped says that it is down", async () => {
    const world = new World();
    world.failsAt = "disable --now containerd";
    await assert.rejects(
      world.run("to"),
      /\nthe kubelet is down, and n with it, until this has gone on; to start it as it is set now: start kubelet\nto go on: /,
    );
    writeFileSync(config, "a: [\n");
    await assert.rejects(world.run("back"), /nothing has been changed\nthe kubelet is down/);
  });

  test("that somebody ends says how to go on", async () => {
    const world = new World();
    const ended = new AbortController();
    const why = new Error("a signal came");
    const asked = world.api.evict.bind(world.api);
    Object.assign(world.api, {
      evict: (one: { namespace: string; name: string; uid: string }) => {
        ended.abort(why);
        return asked(one);
      },
    });
    await assert.rejects(world.run("to", ended), (error: unknown) => error === why);
    assert.deepEqual(world.warned, [
      "ended in the step drain",
      "to go on: berth migrate --node n --force; to undo: berth migrate --node n --force --back",
    ]);
  });

  test("says whom it evicts, and which budget holds whom", async () => {
    const world = new World();
    const asked = world.api.evict.bind(world.api);
    let refusals = 3;
    const body = {
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      kind: "Status",
      details: {
        causes: [{ reason: "DisruptionBudget", message: "The disruption budget web needs 2" }],
      },
    };
    Object.assign(world.api, {
      evict: (one: { namespace: string; name: string; uid: string }) => {
        if ((refusals -= 1) < 0) return asked(one);
        const refused = { code: 429, headers: {}, body: JSON.stringify(body) };
        return Promise.reject(Object.assign(new Error("429"), refused));
      },
    });
    const tools = world.tools();
    await drain({ ...tools, againMs: 1, say: (line) => void world.said.push(line) }, "n", call);
    assert.deepEqual(world.said, [
      "waiting: shop/web: 429: Cannot evict pod as it would violate the pod's disruption budget. The disruption budget web needs 2",
      "evicted shop/web",
    ]);
  });

  test("is one at a time, is of one node, and has a journal that it can read", async () => {
    const world = new World();
    world.failsAt = "stop kubelet";
    await assert.rejects(world.run("to"));
    const journal = readFileSync(journalFile, "utf8");
    const held = `${journalFile}.1.${startOf(1)}.held`;
    writeFileSync(held, "");
    await assert.rejects(world.run("to"), /process 1 is migrating this node/);
    await assert.rejects(world.run("to", { dryRun: true }), /process 1 is migrating this node/);
    rmSync(held);
    writeFileSync(`${journalFile}.1.1.held`, ""); // of another boot
    writeFileSync(journalFile, JSON.stringify({ ...JSON.parse(journal), node: "m" }));
    await assert.rejects(world.run("to"), /is of node m, and not n/);
    for (const text of ["", "{", "[]", '{"version":2,"edits":[]}']) {
      writeFileSync(journalFile, text);
      await assert.rejects(world.run("back"), /is no journal of a migration/);
    }
  });
});

function startAnew(): void {
  removeFolderSync(path.dirname(journalFile));
  writeFileSync(config, old);
}

function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

test("a pod's shim is known by its namespace and its socket", () => {
  const socket = "/run/containerd/containerd.sock";
  const words = (namespace: string, address = socket): string[] => [
    "/usr/bin/containerd-shim-runc-v2",
    "-namespace",
    namespace,
    "-id",
    "k8s.io",
    "-address",
    address,
  ];
  assert.equal(isPodShim(words("k8s.io"), socket), true);
  assert.equal(isPodShim(words("k8s.io"), `/var${socket}`), true);
  assert.equal(isPodShim(["s", "--namespace=k8s.io", `-address=${socket}`], socket), true);
  for (const other of ["moby", "default", ""]) assert.equal(isPodShim(words(other), socket), false);
  assert.equal(isPodShim(words("k8s.io", "/run/k3s/containerd/containerd.sock"), socket), false);
});

test("without systemd the operator is told, and what is done is seen", async () => {
  const said: string[] = [];
  const services = openServices(undefined, (line) => said.push(line), false);
  let looks = 0;
  const isSo = (): Promise<boolean> => Promise.resolve((looks += 1) > 1);
  await services.change(["disable", "--now", "containerd"], isSo, call);
  assert.deepEqual(said, [
    "there is no systemd here: disable the service containerd now; this goes on once that is seen",
  ]);
  await services.change(["stop", "kubelet"], () => Promise.resolve(true), call);
  assert.equal(said.length, 1);
});

test("a service command is called with systemctl's words", async () => {
  const script = path.join(folder, "rc");
  writeFileSync(
    script,
    `#!/bin/sh\necho "$@" >>'${folder}/asked'\ncase "$*" in fail*|*off) exit 3;; *odd) exit 1;; esac\n`,
    {
      mode: 0o755,
    },
  );
  const services = openServices(script, () => {}, true);
  const isSo = (): Promise<boolean> => Promise.resolve(true);
  await services.change(["stop", "kubelet"], isSo, call);
  assert.equal(await services.isActive("docker", call), true);
  assert.equal(
    readFileSync(path.join(folder, "asked"), "utf8"),
    "stop kubelet\nis-active --quiet docker\n",
  );
  await assert.rejects(services.change(["fail", "x"], isSo, call), /exited with 3/);
  assert.equal(await services.isActive("off", call), false);
  await assert.rejects(services.isActive("odd", call), /exited with 1/);
});
