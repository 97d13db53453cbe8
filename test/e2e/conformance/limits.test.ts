// SPDX-License-Identifier: Apache-2.0
// The daemon in a memory cgroup of 300 MB: whatever is asked of it, it refuses what does not fit, goes on
// answering, is not killed, and serves everything again when the load has gone.
import assert from "node:assert/strict";
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isFault } from "../../../src/base/errors.ts";
import type { MemoryFacts } from "../../../src/base/memory/memory-budget.ts";
import type { Container } from "../../../src/gen/cri.gen.ts";
import { outcomeOf, toldOutcome } from "../../support/call-outcome.ts";
import { connectPeer, type GrpcPeer } from "../../support/grpc-peer.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { type MemoryCgroup, makeMemoryCgroup } from "../../support/memory-cgroup.ts";
import { writeOciLayout } from "../../support/oci-image.ts";
import type { RunningPod } from "../../support/pods.ts";
import { scratch } from "../../support/scratch.ts";
import { tarBytes } from "../../support/tar-bytes.ts";
import { pushLayout } from "../../support/test-images.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const mib = 2 ** 20;
const limitBytes = 300_000_000;
const podCount = 100;
const atOnce = 4;
/** How long a Version may take while the daemon is loaded: a collector that only collects takes longer. */
const answerMs = 100_000;
/** For what comes when a load has gone. */
const patience = { timeoutMs: 300_000 } as const;

/** Runs `work` for 0 … count-1, a few at once. */
async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

const cgroupName = `berth-limits-${process.pid}`;
const lacks = lacking(...podPrograms);
const cgroup = lacks === false ? await makeMemoryCgroup(cgroupName, limitBytes) : undefined;
const skip =
  lacks || (cgroup === undefined ? "needs a writable cgroup tree: none for memory" : false);

suite("in a memory cgroup of 300 MB", { skip }, () => {
  let own: MemoryCgroup;
  let bed: Testbed;
  let pid: number;
  let peers: AsyncDisposableStack;
  const pods: RunningPod[] = [];
  const containers: string[] = [];
  const watch = { answers: 0, failures: [] as string[], worstMs: 0, mostHeld: 0 };
  const watched = new AbortController();
  let watching = Promise.resolve();

  before(async () => {
    assert.ok(cgroup);
    own = cgroup;
    peers = new AsyncDisposableStack();
    peers.use(own);
    const home = peers.use(await scratch({ prefix: "limits" }));
    const shim = shimBeside(home.path, own.procs, peers);
    bed = await openTestbed({
      logLevel: "info",
      cgroupProcs: own.procs,
      config: { runtime: { handlers: { runc: { shim } } } },
    });
    pid = bed.daemon.pid();
    watching = keepWatching();
  });
  after(async () => {
    watched.abort();
    await watching;
    await bed?.finish();
    await peers?.disposeAsync();
  });

  /** Asks for the version all the time, on a connection of its own, and looks at the memory. */
  async function keepWatching(): Promise<void> {
    using peer = connectPeer(bed.daemon.socket);
    const runtime = peer.client("runtime.v1.RuntimeService");
    while (!watched.signal.aborted) {
      const from = performance.now();
      await runtime.Version({}, { signal: AbortSignal.timeout(answerMs) }).then(
        () => (watch.answers += 1),
        (error: unknown) => watch.failures.push(String(error)),
      );
      watch.worstMs = Math.max(watch.worstMs, performance.now() - from);
      watch.mostHeld = Math.max(watch.mostHeld, own.anonymousBytes());
      await sleep(100);
    }
  }

  /** The daemon lives, was never killed, answered throughout, and takes new work. */
  async function goesOn(say: (text: string) => void): Promise<void> {
    say(
      `held ${Math.round(watch.mostHeld / mib)} MiB at most; Version took ${Math.round(watch.worstMs)} ms at most`,
    );
    assert.equal(own.oomKills(), 0, "something was killed for lack of memory");
    assert.equal(bed.daemon.pid(), pid);
    process.kill(pid, 0);
    assert.deepEqual(watch.failures, []);
    watch.worstMs = 0;
    watch.mostHeld = 0;
    await until(
      "an exec is served again",
      async () => {
        const { stdout } = await bed.cri.exec(containers[0] ?? "", ["echo", "on"]);
        return stdout === "on\n";
      },
      patience,
    );
  }

  async function facts(): Promise<MemoryFacts> {
    const { info } = await bed.cri.runtime.Status({ verbose: true });
    return JSON.parse(info["memory"] ?? "") as MemoryFacts;
  }

  function connected(): GrpcPeer {
    return peers.use(connectPeer(bed.daemon.socket));
  }

  test("the budget follows from the limit, its heap too", async () => {
    const { cgroup: limited, limitBytes: most, heapLimitBytes } = await facts();
    assert.ok(limited.endsWith(cgroupName), limited);
    assert.ok(most <= limitBytes && most > limitBytes - 8192);
    // V8 adds its young generation to what it is told.
    const heap = Math.floor(most / mib / 3);
    assert.ok(
      heapLimitBytes / mib >= heap && heapLimitBytes / mib < heap + 16,
      `${heapLimitBytes}`,
    );
  });

  test("100 pods run", async (t) => {
    await inParallel(podCount, async () => {
      const pod = await bed.cri.runPod();
      pods.push(pod);
      const command = ["sh", "-c", "while :; do sleep 1000; done"];
      containers.push(await bed.cri.startContainer(pod, bed.images.shell.reference, command));
    });
    await goesOn((text) => t.diagnostic(text));
  });

  test("10 big images are pulled at once", async (t) => {
    const references: string[] = [];
    for (let index = 0; index < 10; index += 1) {
      const layout = path.join(bed.folder, `big-${index}`);
      const size = index < 2 ? 200 : 20;
      const many = Array.from({ length: 5000 }, (_none, at) => ({
        name: `many/${index}/${at}`,
        content: `${at}`,
      }));
      await writeOciLayout(layout, "1", {
        config: { Cmd: ["x"] },
        layers: [
          tarBytes([{ name: `big-${index}`, content: Buffer.alloc(size * mib, index) }]),
          tarBytes(many),
        ],
      });
      references.push(`${bed.registry.host}/big-${index}:1`);
      await pushLayout(layout, "1", references.at(-1) ?? "");
    }
    let left = references;
    for (let round = 0; left.length > 0; round += 1) {
      assert.ok(round < 10, `still not pulled: ${left.join()}`);
      const missing: string[] = [];
      const pulls = left.map((image) =>
        bed.cri.images.PullImage({ image: { image } }).catch((error: unknown) => {
          missing.push(image);
          throw error;
        }),
      );
      t.diagnostic(toldOutcome(await outcomeOf(pulls)));
      left = missing;
    }
    await goesOn((text) => t.diagnostic(text));
    for (const image of references) await bed.cri.images.RemoveImage({ image: { image } });
  });

  test("configs at every limit, and lists of them", async (t) => {
    const envs = Array.from({ length: 15_000 }, (_none, at) => ({
      key: `NAME_${at}`,
      value: Buffer.from("v".repeat(110)),
    }));
    const create = async (index: number): Promise<unknown> =>
      bed.cri.createContainer(pods[index % podCount]!, bed.images.shell.reference, ["true"], {
        envs,
        mounts: [],
        annotations: { large: "x".repeat(1000) },
      });
    const outcome = await outcomeOf(Array.from({ length: 30 }, (_none, at) => create(at)));
    t.diagnostic(toldOutcome(outcome));
    const annotated = Array.from({ length: 60 }, async (_none, at) =>
      bed.cri.createContainer(pods[at]!, bed.images.shell.reference, ["true"], {
        annotations: { large: "x".repeat(250_000) },
      }),
    );
    t.diagnostic(toldOutcome(await outcomeOf(annotated)));
    // What was refused is given back in a while; until then these may be, too.
    let made: Awaited<ReturnType<typeof bed.cri.runtime.ListContainers>>["containers"] = [];
    const list = async (): Promise<boolean> => {
      made = (await bed.cri.runtime.ListContainers({})).containers;
      return true;
    };
    await until("a list is served", list, patience);
    const largest = made.toSorted((a, b) => weightOf(b) - weightOf(a)).slice(0, 20);
    assert.ok(weightOf(largest[0]!) > 200_000, "no large container is there");
    const statuses = Array.from({ length: 300 }, async (_none, at) =>
      bed.cri.runtime.ContainerStatus({ containerId: largest[at % 20]!.id, verbose: true }),
    );
    t.diagnostic(toldOutcome(await outcomeOf(statuses)));
    const lists = Array.from({ length: 60 }, () => bed.cri.runtime.ListContainers({}));
    t.diagnostic(toldOutcome(await outcomeOf(lists)));
    const listed = new Set<string>();
    const stream = async (): Promise<boolean> => {
      for await (const { containers: some } of bed.cri.runtime.StreamContainers({})) {
        for (const { id } of some) listed.add(id);
      }
      return true;
    };
    await until("a list is streamed", stream, patience);
    assert.ok(listed.size >= podCount);
    await goesOn((text) => t.diagnostic(text));
  });

  test("1000 ExecSync at once, some with large output", async (t) => {
    const calls = Array.from({ length: 1000 }, (_none, at) => {
      const bytes = at % 20 === 0 ? 16 * mib : 200 * 1024;
      const cmd = ["head", "-c", `${bytes}`, "/dev/zero"];
      return bed.cri.runtime.ExecSync({ containerId: containers[at % podCount] ?? "", cmd });
    });
    t.diagnostic(toldOutcome(await outcomeOf(calls)));
    await goesOn((text) => t.diagnostic(text));
  });

  test("messages of 16 MiB, 60 at once", async (t) => {
    const peer = connected().client("runtime.v1.RuntimeService");
    const containerId = "x".repeat(15 * mib);
    const calls = Array.from({ length: 60 }, async () => {
      await peer.ContainerStatus({ containerId }).catch((error: unknown) => {
        if (!isFault(error, "NOT_FOUND")) throw error;
      });
    });
    t.diagnostic(toldOutcome(await outcomeOf(calls)));
    await goesOn((text) => t.diagnostic(text));
  });

  test("clients that do not read: attached to floods, events, lists", async (t) => {
    await using stalled = new AsyncDisposableStack();
    const stop = new AbortController();
    stalled.defer(() => stop.abort());
    const command = [
      "sh",
      "-c",
      "head -c 20000000 /dev/zero | tr '\\0' x | fold -w 100; sleep 1000",
    ];
    const attach = async (index: number): Promise<void> => {
      const pod = pods[index % podCount]!;
      const flood = await bed.cri.startContainer(pod, bed.images.shell.reference, command);
      for (let client = 0; client < 4; client += 1) await attachAndStall(flood, stalled);
    };
    const attached: Promise<void>[] = [];
    await inParallel(15, async (index) => {
      attached.push(attach(index));
      await attached.at(-1)?.catch(() => {});
    });
    t.diagnostic(toldOutcome(await outcomeOf(attached)));
    const subscribers = Array.from({ length: 50 }, async () => {
      const peer = stalled.use(connectPeer(bed.daemon.socket));
      const events = peer.client("runtime.v1.RuntimeService").GetContainerEvents({}, stop);
      await events[Symbol.asyncIterator]().next();
    });
    const subscribed = Promise.allSettled(subscribers);
    const polling = Array.from({ length: 40 }, () => bed.cri.runtime.ListPodSandboxStats({}));
    const metrics = Array.from({ length: 10 }, () => bed.cri.runtime.ListPodSandboxMetrics({}));
    t.diagnostic(toldOutcome(await outcomeOf([...polling, ...metrics])));
    const cycles = Array.from({ length: 20 }, (_none, at) => cycle(at));
    t.diagnostic(toldOutcome(await outcomeOf(cycles)));
    await goesOn((text) => t.diagnostic(text));
    stop.abort();
    await subscribed;
  });

  test("when all of it has gone everything is served", async (t) => {
    const isFree = async (): Promise<boolean> => {
      const { pools, heldBytes: held, limitBytes: most } = await facts();
      // The request that asks may hold a share of its own. What is garbage now is collected by each thread in its turn.
      const hasRoom = held !== null && held < most * 0.75;
      return hasRoom && pools.every(({ heldBytes }) => heldBytes < mib);
    };
    await until("shares are given back", isFree, patience);
    const outcome = await outcomeOf(Array.from({ length: 5 }, async (_none, at) => cycle(at)));
    assert.equal(outcome.served, 5, toldOutcome(outcome));
    const { items } = await bed.cri.runtime.ListPodSandbox({});
    assert.equal(items.length, podCount);
    const { refused } = await facts();
    t.diagnostic(`refused in all: ${JSON.stringify(refused)}`);
    const text = await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
    assert.match(text, /^berth_refused_calls_total\{reason="requests"\} \d+$/m);
    assert.ok(
      Object.values(refused).some((count) => count > 0),
      "nothing was ever refused",
    );
    await goesOn((text) => t.diagnostic(text));
  });

  /** A container made, started and removed. */
  async function cycle(index: number): Promise<void> {
    const pod = pods[index % podCount];
    assert.ok(pod);
    const containerId = await bed.cri.startContainer(pod, bed.images.shell.reference, ["true"]);
    await bed.cri.reaches(containerId, "CONTAINER_EXITED");
    await bed.cri.runtime.RemoveContainer({ containerId });
  }

  /** A WebSocket client that shakes hands and reads no further. */
  async function attachAndStall(containerId: string, stack: AsyncDisposableStack): Promise<void> {
    const { url } = await bed.cri.runtime.Attach({ containerId, stdout: true, stderr: true });
    const { hostname, port, pathname } = new URL(url);
    const socket = net.connect(Number(port), hostname);
    stack.defer(() => void socket.destroy());
    socket.on("error", () => {});
    socket.write(
      [
        `GET ${pathname} HTTP/1.1`,
        `Host: ${hostname}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol: v4.channel.k8s.io",
        "",
        "",
      ].join("\r\n"),
    );
    const head = await new Promise<string>((resolve) => {
      socket.once("data", (bytes) => resolve(bytes.toString("latin1")));
      socket.once("close", () => resolve(""));
    });
    socket.pause();
    assert.match(head, /^HTTP\/1.1 (101|429|503)/);
  }
});

/** Characters of a container's annotations. */
function weightOf({ annotations }: Container): number {
  return Object.values(annotations).reduce((sum, text) => sum + text.length, 0);
}

/**
 * Shims with a cgroup of their own beside the daemon's, as an operator has who limits the daemon. A script in
 * front of the real one moves itself there first, so that none of a shim's memory counts as the daemon's.
 */
function shimBeside(folder: string, procs: string, stack: AsyncDisposableStack): string {
  const beside = `${path.dirname(procs)}-shims`;
  mkdirSync(beside);
  stack.defer(async () => {
    await until("the shims' cgroup is empty", () => {
      rmdirSync(beside);
      return Promise.resolve(true);
    });
  });
  const script = path.join(folder, "containerd-shim-runc-v2");
  const lines = [
    "#!/bin/sh",
    `echo $$ >'${beside}/cgroup.procs'`,
    'exec containerd-shim-runc-v2 "$@"',
    "",
  ];
  writeFileSync(script, lines.join("\n"), { mode: 0o755 });
  return script;
}
