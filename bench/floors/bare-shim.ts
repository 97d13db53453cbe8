// SPDX-License-Identifier: Apache-2.0
import { closeSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { silentLogger } from "../../src/base/logger.ts";
import { makeFifo, openFifoBoth } from "../../src/base/os/fifo.ts";
import type { TypesMount } from "../../src/gen/types.gen.ts";
import type { ProtoAny } from "../../src/gen/wellknown.gen.ts";
import type { ServiceClient } from "../../src/rpc/service.ts";
import { Bundle } from "../../src/runtime/bundle/bundle.ts";
import { listenEvents } from "../../src/runtime/events/event-forwarder.ts";
import { ShimBinaries } from "../../src/runtime/shim/binary.ts";
import { socketPathOf } from "../../src/runtime/shim/bootstrap-answer.ts";
import { HelperLauncher } from "../../src/runtime/shim/helper-launcher.ts";
import { TtrpcClient } from "../../src/ttrpc/client.ts";
import { ttrpcServiceClient } from "../../src/ttrpc/service-client.ts";
import { processes, processInfo } from "../../test/support/processes.ts";
import { scratch } from "../../test/support/scratch.ts";

const namespace = "floors";
const sigterm = 15;

/** What a container of Berth's would be run with. */
export interface BareContainer {
  readonly id: string;
  /** The OCI spec as JSON. */
  readonly spec: Uint8Array;
  readonly rootfs: readonly TypesMount[];
  readonly options: ProtoAny | null;
}

/** A shim that runs already, and nothing before it: its calls are ttrpc's, its bundles are there before. */
export interface BareShim extends AsyncDisposable {
  /** CPU time of the shim and of what it ran, in milliseconds, by the kernel's ticks. */
  cpuMs(): number;
  /** Of its own threads that live, to the nanosecond: it has used less than a tick when it serves. */
  ownCpuMs(): number;
  prepare(container: BareContainer): Promise<BareTask>;
}

/** A container whose bundle and FIFOs are ready. */
export interface BareTask extends AsyncDisposable {
  /** Create and Start, as StartContainer has to. */
  run(): Promise<void>;
  /** Exec, Start, Wait and Delete of a command. */
  exec(id: string, spec: ProtoAny): Promise<void>;
  /** Kill, Wait and Delete, as StopContainer has to. */
  end(): Promise<void>;
}

/** Starts one of these containers' kind; `shim` as a path, or a name looked up in PATH. */
export async function startBareShim(shim: string | undefined, id: string): Promise<BareShim> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "floors", space: false }));
  const ttrpcAddress = path.join(home.path, "events.sock");
  undo.use(await listenEvents({ path: ttrpcAddress, sink: () => {}, log: silentLogger }));
  const place = { bundles: path.join(home.path, "bundles"), work: path.join(home.path, "work") };
  const binary = await new ShimBinaries().resolve("io.containerd.runc.v2", shim ?? "");
  const launcher = new HelperLauncher({
    grpcAddress: path.join(home.path, "none.sock"),
    ttrpcAddress,
  });
  const content = { spec: Buffer.from("{}"), sandboxId: "", shimBinary: binary.path };
  const bundle = await Bundle.create({ ...place, namespace, id }, content);
  const log = openFifoBoth(bundle.makeLogFifo());
  undo.defer(() => closeSync(log));
  const call = { signal: AbortSignal.timeout(30_000) };
  const { address, version } = await launcher.launch(
    { binary, bundle, options: null, isDirect: false },
    call,
  );
  const client = undo.use(await TtrpcClient.connect(socketPathOf(address), call));
  const wire = version < 3 ? "containerd.task.v2.Task" : "containerd.task.v3.Task";
  const api = ttrpcServiceClient(client, "containerd.task.v3.Task", wire);
  const pid = servingPid(id);
  undo.defer(async () => {
    await api.Shutdown({ id, now: true }, { namespace }).catch(() => {}); // it may go before it answers
    await client.closed;
  });
  const owned = undo.move();
  return {
    cpuMs: () => {
      const { childrenCpuMs = 0, cpuMs = 0 } = processInfo(pid) ?? {};
      return cpuMs + childrenCpuMs;
    },
    ownCpuMs: () =>
      readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadCpuMs(pid, thread), 0),
    prepare: (container) => prepareTask(api, { ...place, shim: binary.path }, container),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function threadCpuMs(pid: number, thread: string): number {
  const [nanos] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
  return Number(nanos) / 1e6;
}

type Api = ServiceClient<"containerd.task.v3.Task">;

async function prepareTask(
  api: Api,
  place: { readonly bundles: string; readonly work: string; readonly shim: string },
  { id, options, rootfs, spec }: BareContainer,
): Promise<BareTask> {
  const content = { spec, sandboxId: "", shimBinary: place.shim };
  const bundle = await Bundle.create({ ...place, namespace, id }, content);
  const [stdout, stderr] = [bundle.file("stdout"), bundle.file("stderr")];
  const held = [stdout, stderr].map((fifo) => {
    makeFifo(fifo);
    return openFifoBoth(fifo);
  });
  const to = { namespace };
  return {
    run: async () => {
      await api.Create(
        { id, bundle: bundle.path, rootfs: [...rootfs], stdout, stderr, options },
        to,
      );
      await api.Start({ id }, to);
    },
    exec: async (execId, execSpec) => {
      await api.Exec({ id, execId, spec: execSpec, stdout, stderr }, to);
      const exited = api.Wait({ id, execId }, to);
      await api.Start({ id, execId }, to);
      const { exitStatus } = await exited;
      if (exitStatus !== 0) throw new Error(`exec of true exited with ${exitStatus}`);
      await api.Delete({ id, execId }, to);
    },
    end: async () => {
      const exited = api.Wait({ id }, to);
      await api.Kill({ id, signal: sigterm }, to);
      await exited;
      await api.Delete({ id }, to);
    },
    [Symbol.asyncDispose]: async () => {
      for (const fd of held) closeSync(fd);
      await bundle.remove();
    },
  };
}

/** The helper has ended: what is left of that id serves. */
function servingPid(id: string): number {
  const [shim] = processes(
    ({ argv }) => argv.includes(id) && (argv[0] ?? "").includes("containerd-shim"),
  );
  if (shim === undefined) throw new Error("the shim is gone");
  return shim.pid;
}
