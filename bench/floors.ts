// SPDX-License-Identifier: Apache-2.0
// What Berth adds to the parts that no daemon can take away: beside each of its calls, and in turn with it, those parts
// alone (the CNI plugins; a shim that runs already, asked by ttrpc, and the OCI runtime below it; a gRPC server that does
// nothing), and the newest containerd with the same client. The goals of the issue on speed as milliseconds. Of a pod's
// processor time the floor is what the plugins, a shim's start and the OCI runtime below it take: no daemon at all.
import os from "node:os";
import { parseArgs } from "node:util";
import type { CriMessages } from "../src/gen/cri-index.gen.ts";
import { codec } from "../src/rpc/codec.ts";
import { connectPeer } from "../test/support/grpc-peer.ts";
import type { Cri, RunningPod } from "../test/support/pods.ts";
import { processInfo } from "../test/support/processes.ts";
import { type Contender, type ContenderName } from "./contender.ts";
import { BareCni } from "./floors/bare-cni.ts";
import { startBareServer } from "./floors/bare-grpc.ts";
import { bareSandbox } from "./floors/bare-sandbox.ts";
import { type BareShim, startBareShim } from "./floors/bare-shim.ts";
import { describeMachine, machineLine } from "./machine.ts";
import { cpuMsOf, obedient } from "./pod-cycle.ts";
import { Samples } from "./samples.ts";
import { setUp } from "./set-up.ts";
import { table } from "./table.ts";

const { values } = parseArgs({
  options: {
    n: { type: "string", short: "n", default: "15" },
    shim: { type: "string" },
    "oci-runtime": { type: "string", default: "runc" },
  },
});
const rounds = Number(values.n);
const asked = 300;
const listed = 100;
const execs = 3;
const programs = { shim: values.shim, ociRuntime: values["oci-runtime"] };
const namespace = "k8s.io";

/** Goals as a part of what containerd takes. */
const goals: Readonly<Record<string, number>> = {
  RunPodSandbox: 0.38,
  StartContainer: 0.9,
  "pod up": 0.5,
  ExecSync: 0.95,
  StopPodSandbox: 0.4,
  RemovePodSandbox: 0.4,
  "ListContainers of 100": 0.8,
  ContainerStatus: 0.8,
  PodSandboxStatus: 0.8,
  ImageStatus: 0.8,
};

const podCpuGoal = 0.5;

/** Samples of milliseconds by what was timed; CPU stands under the same name. */
class Ledger {
  readonly times = new Map<string, Samples>();
  readonly cpu = new Map<string, number>();

  of(name: string): Samples {
    const known = this.times.get(name) ?? new Samples();
    this.times.set(name, known);
    return known;
  }

  async time<T>(name: string, cpuMs: () => number, work: () => Promise<T>): Promise<T> {
    const before = cpuMs();
    const answer = await this.of(name).time(work);
    this.cpu.set(name, (this.cpu.get(name) ?? 0) + cpuMs() - before);
    return answer;
  }

  /** The mean: the kernel counts in hundredths of a second. */
  meanCpu(name: string): number {
    return (this.cpu.get(name) ?? Number.NaN) / this.of(name).count;
  }
}

/** Pods' lives, one contender after the other, and the bare parts beside Berth's. */
async function pods(
  contenders: readonly Contender[],
  image: string,
  ledgerOf: (name: string) => Ledger,
): Promise<void> {
  await using cni = await BareCni.make();
  await using shim = await startBareShim(values.shim, `floors-${process.pid}`);
  const floor = ledgerOf("floor");
  for (let round = -1; round < rounds; round++) {
    // The first round warms up.
    const ledger = (name: string): Ledger => (round < 0 ? new Ledger() : ledgerOf(name));
    await bareNetwork(cni, `floors-${process.pid}`, round < 0 ? new Ledger() : floor);
    await bareShimStart(
      `floors-${process.pid}-start-${round + 1}`,
      round < 0 ? new Ledger() : floor,
    );
    for (const it of contenders) {
      const beside = it.name === "berth" ? { shim, floor: ledger("floor"), round } : undefined;
      await podLife(it, image, ledger(it.name), beside);
    }
  }
}

async function bareNetwork(cni: BareCni, name: string, floor: Ledger): Promise<void> {
  const cpu = (): number => processInfo(process.pid)?.childrenCpuMs ?? 0;
  await cni.makeNamespace(name);
  const result = await floor.time("CNI ADD", cpu, () => cni.add(name));
  await floor.time("CNI DEL", cpu, () => cni.del(name, result));
  await cni.removeNamespace(name);
}

/** What the process that serves has used when it answers; the one that starts it is left out. */
async function bareShimStart(id: string, floor: Ledger): Promise<void> {
  let started: BareShim | undefined;
  await floor.time(
    "shim start",
    () => started?.ownCpuMs() ?? 0,
    async () => {
      started = await startBareShim(values.shim, id);
    },
  );
  await started?.[Symbol.asyncDispose]();
}

interface Beside {
  readonly shim: BareShim;
  readonly floor: Ledger;
  readonly round: number;
}

async function podLife(
  it: Contender,
  image: string,
  ledger: Ledger,
  beside: Beside | undefined,
): Promise<void> {
  const { runtime } = it.cri;
  const cpu = (): number => cpuMsOf(it);
  const from = performance.now();
  const pod = await ledger.time("RunPodSandbox", cpu, () => it.cri.runPod());
  const containerId = await ledger.time("CreateContainer", cpu, () =>
    it.cri.createContainer(pod, image, obedient),
  );
  const between = performance.now();
  if (beside) await bareContainer(it, pod, containerId, beside);
  const paused = performance.now() - between;
  await ledger.time("StartContainer", cpu, () => runtime.StartContainer({ containerId }));
  ledger.of("pod up").add(performance.now() - from - paused);
  for (let i = 0; i < execs; i++) {
    await ledger.time("ExecSync", cpu, () =>
      runtime.ExecSync({ containerId, cmd: ["true"], timeout: 10n }),
    );
  }
  await ledger.time("StopContainer", cpu, () =>
    runtime.StopContainer({ containerId, timeout: 10n }),
  );
  const podSandboxId = pod.id;
  // What a shim has used goes with it.
  await ledger.of("StopPodSandbox").time(() => runtime.StopPodSandbox({ podSandboxId }));
  await ledger.of("RemovePodSandbox").time(() => runtime.RemovePodSandbox({ podSandboxId }));
}

/** The same container on a bare shim, and the sandbox's process once more. */
async function bareContainer(
  it: Contender,
  pod: RunningPod,
  containerId: string,
  { floor, round, shim }: Beside,
): Promise<void> {
  using peer = connectPeer(it.socket);
  const containers = peer.client("containerd.services.containers.v1.Containers");
  const get = async (id: string) => {
    const { container } = await containers.Get({ id }, { namespace });
    if (container?.spec === null || container?.spec === undefined)
      throw new Error(`${id} has no spec`);
    return { spec: container.spec.value, options: container.runtime?.options ?? null };
  };
  const id = `floors-${process.pid}-${round + 1}`;
  const sandbox = await get(pod.id);
  await bareSandbox(sandbox.spec, `${id}-pause`, floor.of("sandbox process"));
  const snapshots = peer.client("containerd.services.snapshots.v1.Snapshots");
  const key = { snapshotter: "overlayfs", key: containerId };
  const { mounts } = await snapshots.Mounts(key, { namespace });
  const container = await get(containerId);
  const spec = JSON.parse(Buffer.from(container.spec).toString()) as {
    process: object;
    linux: { cgroupsPath: string };
  };
  spec.linux.cgroupsPath = spec.linux.cgroupsPath.replace(containerId, id);
  await using task = await shim.prepare({
    id,
    spec: Buffer.from(JSON.stringify(spec)),
    rootfs: mounts,
    options: container.options,
  });
  const cpu = (): number => shim.cpuMs();
  await floor.time("StartContainer", cpu, () => task.run());
  const process_ = { ...spec.process, args: ["true"] };
  const command = {
    type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process",
    value: Buffer.from(JSON.stringify(process_)),
  };
  for (let i = 0; i < execs; i++) {
    await floor.time("ExecSync", cpu, () => task.exec(`exec-${i}`, command));
  }
  await floor.time("StopContainer", cpu, () => task.end());
}

interface Asked {
  readonly name: string;
  readonly method: string;
  readonly message: keyof CriMessages & string;
  readonly ask: (cri: Cri, of: Made) => Promise<unknown>;
}

interface Made {
  readonly pod: string;
  readonly container: string;
  readonly image: string;
}

const readers: readonly Asked[] = [
  {
    name: "Version",
    method: "runtime.v1.RuntimeService.Version",
    message: "runtime.v1.VersionResponse",
    ask: ({ runtime }) => runtime.Version({}),
  },
  {
    name: `ListContainers of ${listed}`,
    method: "runtime.v1.RuntimeService.ListContainers",
    message: "runtime.v1.ListContainersResponse",
    ask: ({ runtime }) => runtime.ListContainers({}),
  },
  {
    name: "ContainerStatus",
    method: "runtime.v1.RuntimeService.ContainerStatus",
    message: "runtime.v1.ContainerStatusResponse",
    ask: ({ runtime }, { container }) => runtime.ContainerStatus({ containerId: container }),
  },
  {
    name: "PodSandboxStatus",
    method: "runtime.v1.RuntimeService.PodSandboxStatus",
    message: "runtime.v1.PodSandboxStatusResponse",
    ask: ({ runtime }, { pod }) => runtime.PodSandboxStatus({ podSandboxId: pod }),
  },
  {
    name: "ImageStatus",
    method: "runtime.v1.ImageService.ImageStatus",
    message: "runtime.v1.ImageStatusResponse",
    ask: ({ images }, { image }) => images.ImageStatus({ image: { image } }),
  },
];

/** Calls that only read: the bare server answers the bytes that Berth's answers have. */
async function calls(
  contenders: readonly Contender[],
  image: string,
  ledgerOf: (name: string) => Ledger,
): Promise<void> {
  const sides: { name: ContenderName | "floor"; pid: number; cri: Cri; made: Made }[] = [];
  const answers: Record<string, Uint8Array> = {};
  for (const it of contenders) {
    const pod = await it.cri.runPod();
    const other = await it.cri.runPod();
    let container = "";
    for (let i = 0; i < listed; i++) {
      container = await it.cri.createContainer(i === 0 ? pod : other, image, obedient);
      if (i === 0)
        sides.push({
          name: it.name,
          pid: it.pid,
          cri: it.cri,
          made: { pod: pod.id, container, image },
        });
    }
    const side = sides.at(-1);
    if (it.name !== "berth" || side === undefined) continue;
    for (const { ask, message, method } of readers) {
      answers[method] = codec(message).encode((await ask(it.cri, side.made)) as never);
    }
  }
  await using bare = await startBareServer(answers);
  const { made } = sides[0] ?? { made: { pod: "", container: "", image } };
  sides.push({ name: "floor", pid: bare.pid, cri: bare.cri, made });
  for (const { name, ask } of readers) {
    for (const side of sides) for (let i = 0; i < asked; i++) await ask(side.cri, side.made);
    for (let turn = 0; turn < 10; turn++) {
      for (const side of sides) {
        const ledger = ledgerOf(side.name);
        const before = processInfo(side.pid)?.cpuMs ?? 0;
        for (let i = 0; i < asked / 10; i++)
          await ledger.of(name).time(() => ask(side.cri, side.made));
        const used = (processInfo(side.pid)?.cpuMs ?? 0) - before;
        ledger.cpu.set(name, (ledger.cpu.get(name) ?? 0) + used);
      }
    }
  }
  for (const it of contenders) await it.cri.removeAllPods();
}

function report(ledgerOf: (name: string) => Ledger): void {
  const [floor, berth, peer] = ["floor", "berth", "containerd-2.4"].map(ledgerOf) as [
    Ledger,
    Ledger,
    Ledger,
  ];
  const bare: Readonly<Record<string, readonly string[]>> = {
    RunPodSandbox: ["CNI ADD"],
    "pod up": ["CNI ADD", "StartContainer"],
    StopPodSandbox: ["CNI DEL"],
  };
  const rows = [...berth.times].map(([name, samples]) => {
    const parts = bare[name] ?? [name];
    const sum = (of: (part: string) => number): number =>
      parts.reduce((all, part) => all + of(part), 0);
    const floorMs = sum((part) => floor.of(part).quantile(0.5));
    const ours = samples.quantile(0.5);
    const theirs = peer.of(name).quantile(0.5);
    const goal = goals[name] ?? Number.NaN;
    return [
      name,
      shown(floorMs),
      shown(ours),
      shown(ours - (Number.isNaN(floorMs) ? 0 : floorMs)),
      shown(theirs),
      shown(ours / theirs),
      shown(goal),
      shown(goal * theirs),
      shown(goal * theirs - floorMs),
      shown(sum((part) => floor.meanCpu(part))),
      shown(berth.meanCpu(name)),
      shown(peer.meanCpu(name)),
    ];
  });
  const podCpu = podCpuRow({ floor, berth, peer });
  const head = [
    "p50, ms",
    "floor",
    "berth",
    "added",
    "containerd-2.4",
    "ratio",
    "goal",
    "goal, ms",
  ];
  console.log(
    table([[...head, "left over floor", "CPU: floor", "berth", "containerd-2.4"], ...rows, podCpu]),
  );
  const beside = ["CNI ADD", "CNI DEL", "sandbox process", "shim start"];
  const more = beside.map((name) => `${name} ${shown(floor.of(name).quantile(0.5))} ms`);
  console.log(`floors by themselves: ${more.join(", ")}`);
}

function shown(value: number): string {
  return Number.isNaN(value) ? "-" : value.toFixed(2);
}

const load = os.loadavg()[0] ?? Number.NaN;
await using bench = await setUp("berth,containerd-2.4", programs);
if (bench) {
  const { contenders, image } = bench;
  console.log(machineLine(await describeMachine(contenders, programs, load)));
  const ledgers = new Map<string, Ledger>();
  const ledgerOf = (name: string): Ledger => {
    const known = ledgers.get(name) ?? new Ledger();
    ledgers.set(name, known);
    return known;
  };
  await calls(contenders, image, ledgerOf);
  await pods(contenders, image, ledgerOf);
  report(ledgerOf);
}

/** The processor time of a pod's three calls. */
function podCpuRow({
  berth,
  floor,
  peer,
}: Readonly<Record<"berth" | "floor" | "peer", Ledger>>): string[] {
  const sum = (ledger: Ledger, names: readonly string[]): number =>
    names.reduce((all, name) => all + ledger.meanCpu(name), 0);
  const calls = ["RunPodSandbox", "CreateContainer", "StartContainer"];
  const least = sum(floor, ["CNI ADD", "shim start", "StartContainer"]);
  const [ours, theirs] = [sum(berth, calls), sum(peer, calls)];
  const goal = podCpuGoal * theirs;
  const figures = [
    least,
    ours,
    ours - least,
    theirs,
    ours / theirs,
    podCpuGoal,
    goal,
    goal - least,
  ];
  return ["pod up, CPU", ...figures.map(shown), "-", "-", "-"];
}
