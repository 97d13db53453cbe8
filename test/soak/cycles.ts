// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { isFault } from "../../src/base/errors.ts";
import type { ContainerConfigInit, PodSandboxConfigInit } from "../../src/gen/cri.gen.ts";
import { WsClient } from "../support/streaming/ws-client.ts";
import type { Lane, LaneContainer, LanePod } from "./lane.ts";

/** What cycles run with. */
export interface Yard {
  /** Of a busybox. */
  readonly shell: string;
  /** A handler whose OCI runtime knows user namespaces; undefined where there is none. */
  readonly userNamespaces: string | undefined;
  /** An image that one lane alone pulls and removes. */
  readonly ownImage: (lane: number) => string;
}

export type CycleKind =
  | "usual"
  | "host network"
  | "restarts"
  | "terminal"
  | "failed start"
  | "stream"
  | "cancelled"
  | "image"
  | "user namespace";

/** How often each comes. */
const weights: Readonly<Record<CycleKind, number>> = {
  usual: 6,
  "host network": 3,
  restarts: 3,
  terminal: 2,
  "failed start": 2,
  stream: 2,
  cancelled: 3,
  image: 2,
  "user namespace": 1,
};

export function kindsOf(yard: Yard): readonly CycleKind[] {
  const kinds = Object.keys(weights) as readonly CycleKind[];
  return kinds.filter((kind) => kind !== "user namespace" || yard.userNamespaces !== undefined);
}

export function chooseKind(lane: Lane, yard: Yard): CycleKind {
  const kinds = kindsOf(yard);
  const total = kinds.reduce((sum, kind) => sum + weights[kind], 0);
  let left = lane.random.next() * total;
  for (const kind of kinds) {
    left -= weights[kind];
    if (left < 0) return kind;
  }
  return "usual";
}

/** One pod's life from its start to its removal. Throws where the daemon does not as it should. */
export function runCycle(kind: CycleKind, lane: Lane, yard: Yard): Promise<void> {
  return cycles[kind](lane, yard);
}

const cycles: Readonly<Record<CycleKind, (lane: Lane, yard: Yard) => Promise<void>>> = {
  usual: (lane, yard) => usual(lane, yard, portOf(lane)),
  "host network": (lane, yard) => usual(lane, yard, onNode),
  restarts,
  terminal,
  "failed start": failedStart,
  stream,
  cancelled,
  image,
  "user namespace": (lane, yard) => {
    const linux = { securityContext: { namespaceOptions: userNamespace } };
    return usual(lane, yard, { linux }, yard.userNamespaces, { linux });
  },
};

const ids = [{ containerId: 0, hostId: 1_000_000, length: 65_536 }];
const userNamespace = {
  pid: "CONTAINER",
  usernsOptions: { mode: "POD", uids: ids, gids: ids },
} as const;

const onNode: PodSandboxConfigInit = {
  linux: { securityContext: { namespaceOptions: { network: "NODE", pid: "CONTAINER" } } },
};

function portOf(lane: Lane): PodSandboxConfigInit {
  // A port of its own: of two pods with one host port the later one is refused.
  return {
    portMappings: [{ protocol: "TCP", containerPort: 80, hostPort: 30_000 + lane.number }],
  };
}

const lineCount = 60;
const lines = Array.from({ length: lineCount }, (_, index) => `line ${index}`);
/** Says its lines in a while, so that kills fall in between; SIGTERM ends it with 5. */
const talk = `trap 'exit 5' TERM; i=0
while [ $i -lt ${lineCount} ]; do echo "line $i"; i=$((i+1)); [ $((i%20)) = 0 ] && sleep 0.03; done
sleep 100000 & wait`;

async function usual(
  lane: Lane,
  yard: Yard,
  pod: PodSandboxConfigInit,
  handler = "",
  change: ContainerConfigInit = {},
): Promise<void> {
  const { ledger } = lane;
  const made = await lane.runPod(pod, handler);
  const main = await lane.run(made, yard.shell, ["sh", "-c", talk], change);
  await lane.checkRunning(made, main);
  const code = 1 + lane.random.below(100);
  const answer = await lane.exec(main, ["sh", "-c", `echo out; echo err >&2; exit ${code}`]);
  ledger.equal("exits", "an exec", answer, { exitCode: code, stdout: "out\n", stderr: "err\n" });
  await checkStats(lane, made, main);
  await lane.checkLog(main, lines);
  await lane.stop(main);
  lane.checkEnd(main, await lane.status(main), 5);
  // Once more, as kubelets do; and the answer must not change.
  await lane.stop(main);
  lane.checkEnd(main, await lane.status(main), 5);
  await lane.remove(main.id);
  await lane.removePod(made);
}

async function checkStats(lane: Lane, pod: LanePod, container: LaneContainer): Promise<void> {
  const { runtime } = lane.cri;
  const { stats } = await lane.life.survive(() =>
    runtime.ContainerStats({ containerId: container.id }),
  );
  lane.ledger.check(
    "stats",
    stats?.attributes?.id === container.id &&
      stats.attributes.metadata?.name === container.name &&
      (stats.memory?.workingSetBytes?.value ?? 0n) > 0n,
    () => `stats of ${container.id}: ${stats?.attributes?.id}`,
  );
  const listed = await lane.life.survive(() =>
    runtime.ListPodSandboxStats({ filter: { id: pod.id } }),
  );
  const found = listed.stats.map(({ attributes }) => attributes?.id);
  lane.ledger.equal("stats", "the pod's stats", found, [pod.id]);
}

/** A container that fails twice and then runs on; what ended keeps its code until it is removed. */
async function restarts(lane: Lane, yard: Yard): Promise<void> {
  const pod = await lane.runPod();
  const ended: { readonly container: LaneContainer; readonly code: number }[] = [];
  const name = "flaky";
  let attempt = 0;
  for (let round = 0; round < 2; round += 1) {
    const code = 1 + lane.random.below(200);
    const command = ["sh", "-c", `echo round ${round}; exit ${code}`];
    const container = await lane.run(pod, yard.shell, command, named(name, attempt));
    await lane.ends(container, code);
    await lane.checkLog(container, [`round ${round}`]);
    ended.push({ container, code });
    attempt = (container.config.metadata?.attempt ?? attempt) + 1;
  }
  const last = await lane.run(pod, yard.shell, ["sh", "-c", talk], named(name, attempt));
  await lane.checkRunning(pod, last);
  for (const { container, code } of ended) {
    lane.checkEnd(container, await lane.status(container), code);
  }
  const oldest = ended[0]?.container;
  if (oldest) await lane.remove(oldest.id);
  await lane.checkLog(last, lines);
  // Neither is stopped nor removed by itself: the pod's end takes both along.
  await lane.removePod(pod);
}

/** As a kubelet names the log of each attempt. */
function named(name: string, attempt: number): ContainerConfigInit {
  return { metadata: { name, attempt }, logPath: `${name}_${attempt}.log` };
}

async function terminal(lane: Lane, yard: Yard): Promise<void> {
  const pod = await lane.runPod();
  const command = ["sh", "-c", "trap 'exit 6' TERM; tty; sleep 100000 & wait"];
  const container = await lane.run(pod, yard.shell, command, { tty: true, stdin: true });
  await lane.checkRunning(pod, container);
  await lane.checkLog(container, ["/dev/pts/0"]);
  await lane.stop(container);
  lane.checkEnd(container, await lane.status(container), 6);
  await lane.removePod(pod);
}

async function failedStart(lane: Lane, yard: Yard): Promise<void> {
  const pod = await lane.runPod(onNode);
  const container = await lane.createContainer(pod, yard.shell, ["/no/such/program"]);
  const failed = await lane.life.attempt(async () => {
    try {
      await lane.cri.runtime.StartContainer({ containerId: container.id });
    } catch (error) {
      if (String(error).includes("/no/such/program")) return "refused";
      throw error;
    }
    return "started";
  });
  if (failed !== "killed") {
    lane.ledger.equal("status", "a start without a program", failed.value, "refused");
    const { state, exitCode, reason } = await lane.status(container);
    lane.ledger.equal(
      "exits",
      `failed ${container.id}`,
      [state, exitCode, reason],
      ["CONTAINER_EXITED", 128, "StartError"],
    );
  }
  await lane.remove(container.id);
  await lane.removePod(pod);
}

/** An exec by the streaming server, over WebSocket: in, out, err, and the exit code. */
async function stream(lane: Lane, yard: Yard): Promise<void> {
  const pod = await lane.runPod();
  const container = await lane.run(pod, yard.shell, ["sh", "-c", talk]);
  const code = 1 + lane.random.below(100);
  const kills = lane.life.kills;
  try {
    const told = await execStream(lane, container, code);
    // A session ends with its daemon.
    if (lane.life.kills === kills) {
      lane.ledger.equal("exits", "a streamed exec", told, ["got word\n", "oops\n", code]);
    }
  } catch (error) {
    if (lane.life.kills === kills) throw error;
  }
  await lane.checkLog(container, lines);
  await lane.removePod(pod);
}

async function execStream(
  lane: Lane,
  container: LaneContainer,
  code: number,
): Promise<readonly [string, string, number]> {
  const cmd = ["sh", "-c", `read word; echo got $word; echo oops >&2; exit ${code}`];
  const { url } = await lane.life.survive(() =>
    lane.cri.runtime.Exec({
      containerId: container.id,
      cmd,
      stdin: true,
      stdout: true,
      stderr: true,
    }),
  );
  const client = await WsClient.connect(url, "v5.channel.k8s.io");
  try {
    client.send(0, Buffer.from("word\n"));
    await Promise.race([client.closeCode, sleep(30_000)]);
    const told = /"ExitCode","message":"(\d+)"/.exec(client.textOf(3))?.[1];
    return [client.textOf(1), client.textOf(2), Number(told)];
  } finally {
    client.socket.terminate();
  }
}

/** Callers that give up, at any moment of a call; the daemon ends in a state that a kubelet can go on from. */
async function cancelled(lane: Lane, yard: Yard): Promise<void> {
  const { runtime } = lane.cri;
  const config = lane.podConfig(portOf(lane));
  await givenUp(lane, 250, (signal) => runtime.RunPodSandbox({ config }, { signal }));
  // The attempt goes on for a kubelet that asks again, and gets it or what it made.
  const pod = await lane.runPodAs(config);
  const create = { podSandboxId: pod.id, sandboxConfig: pod.config };
  await givenUp(lane, 60, (signal) =>
    runtime.CreateContainer(
      { ...create, config: lane.cri.containerConfig(yard.shell, ["true"]) },
      { signal },
    ),
  );
  const container = await lane.createContainer(pod, yard.shell, ["sh", "-c", talk]);
  await givenUp(lane, 120, (signal) =>
    runtime.StartContainer({ containerId: container.id }, { signal }),
  );
  const running = await lane.run(pod, yard.shell, ["sh", "-c", talk]);
  const containerId = running.id;
  await givenUp(lane, 120, (signal) =>
    runtime.ExecSync({ containerId, cmd: ["sleep", "100"], timeout: 5n }, { signal }),
  );
  await lane.checkRunning(pod, running);
  await lane.checkLog(running, lines);
  await givenUp(lane, 60, (signal) =>
    runtime.StopContainer({ containerId, timeout: 5n }, { signal }),
  );
  await lane.stop(running);
  lane.checkEnd(running, await lane.status(running), 5);
  await givenUp(lane, 120, (signal) =>
    runtime.StopPodSandbox({ podSandboxId: pod.id }, { signal }),
  );
  await lane.removePod(pod);
}

/** Calls, and gives up within `withinMs`. What fails otherwise fails. */
async function givenUp(
  lane: Lane,
  withinMs: number,
  call: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), lane.random.below(withinMs));
  await lane.life
    .attempt(async () => {
      try {
        await call(stop.signal);
      } catch (error) {
        if (!stop.signal.aborted || !isFault(error, "CANCELLED")) throw error;
      }
    })
    .finally(() => clearTimeout(timer));
}

/** Pulls an image, runs it, and removes it while its container is there and again after. */
async function image(lane: Lane, yard: Yard): Promise<void> {
  const { images } = lane.cri;
  const reference = yard.ownImage(lane.number);
  const spec = { image: { image: reference } };
  if (lane.random.isOneIn(2)) {
    await givenUp(lane, 200, (signal) => images.PullImage(spec, { signal }));
  }
  await lane.life.survive(() => images.PullImage(spec));
  const present = await lane.life.survive(() => images.ImageStatus(spec));
  lane.ledger.check(
    "status",
    present.image !== null,
    () => `${reference} was pulled and is absent`,
  );
  const pod = await lane.runPod(onNode);
  const container = await lane.run(pod, reference, ["sh", "-c", "cat /own; exit 0"]);
  await lane.ends(container, 0);
  await lane.checkLog(container, [`image of lane ${lane.number}`]);
  await lane.life.survive(() => images.RemoveImage(spec));
  await lane.removePod(pod);
  const absent = await lane.life.survive(() => images.ImageStatus(spec));
  lane.ledger.check("removal", absent.image === null, () => `${reference} is still there`);
}
