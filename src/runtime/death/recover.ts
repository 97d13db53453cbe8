// SPDX-License-Identifier: Apache-2.0

import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault, toFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { Silence } from "../../base/silence.ts";
import { turnLimit } from "../../base/turn-limit.ts";
import { untilAborted } from "../../base/waits.ts";
import { Bundle, eraseFolder, type TaskFolders } from "../bundle/bundle.ts";
import { foldersIn } from "../bundle/folders-in.ts";
import type { RecoveryReport } from "../ports.ts";
import type { ShimBinaries, ShimBinary } from "../shim/binary.ts";
import { type Bootstrap, parseBootstrapAnswer, socketPathOf } from "../shim/bootstrap-answer.ts";
import { removeDeadSocket } from "../shim/dead-socket.ts";
import { ShimLogPump } from "../shim/log-pump.ts";
import type { Shim } from "../shim/shim.ts";
import type { ShimPool } from "../shim/shim-pool.ts";
import { runcShimAddress } from "../shim/socket-address.ts";
import { killShimsWithoutBundle } from "../shim/stray-shim.ts";
import { clearRuntimeState, isInRuntime } from "./runtime-state.ts";

/** How long nothing may come before the start goes on without the rest. */
const silentMs = 1_000;
/** Each starts programs; after a reboot with the state on a disk every task wants one. */
const cleanUpsAtOnce = 16;

export interface RecoverPorts extends TaskFolders {
  readonly pool: ShimPool;
  readonly binaries: ShimBinaries;
  readonly grpcAddress: string;
  readonly loadTimeoutMs: number;
  readonly log: Logger;
  /** killShimsWithoutBundle, which looks at all processes; another only in tests. */
  readonly killShims?: typeof killShimsWithoutBundle;
  isKnown(namespace: string, id: string): boolean;
  /** Lists the task of a live shim. */
  adopt(bundle: Bundle, shim: Shim, sandboxId: string, pid: number): unknown;
  /** Knows the shim of a sandbox process's containers again; rejects when it is not there. */
  adoptPod(bundle: Bundle, shim: Promise<Shim>): void;
  /** Ends shims of a bundle's that cannot be reached. */
  killStrays(bundle: Bundle, binary: ShimBinary | undefined): Promise<void>;
  /** Ends a task that cannot be recovered and removes its bundle. */
  abandon(bundle: Bundle, binary: ShimBinary | undefined, shim: Shim | undefined): Promise<void>;
}

type Found = { readonly namespace: string; readonly id: string };

/** What was recovered, and what of it goes on, by `namespace/id`. These never reject. */
export interface TaskRecovery extends RecoveryReport {
  readonly late: ReadonlyMap<string, Promise<void>>;
}

/**
 * Rebuilds the list of tasks from the bundles on disk. First every shim is connected, in parallel, each
 * bounded by the load timeout; then State is asked of each task, and what cannot be had is cleaned up, once all shims have been
 * tried, because a shim must be known to have tasks before one of its others is given up. A bad bundle costs only itself, and a
 * shim that hangs, or a clean-up that takes long, only itself: once nothing has come for a second the others are answered. Last
 * go shims that have no bundle any more.
 */
export async function recoverTasks(ports: RecoverPorts, call: Cancellable): Promise<TaskRecovery> {
  const recovered: Found[] = [];
  const lost: (Found & { reason: string })[] = [];
  const bundles = await findBundles(ports);
  const cleanUps = new Semaphore(cleanUpsAtOnce);
  const reaching = bundles.map((found) => reachShim(ports, found, call));
  const allReached = Promise.all(reaching);
  allReached.catch(() => {}); // each is waited for by itself
  const giveUp: GiveUp = async (work) => {
    await allReached;
    using _permit = await cleanUps.acquire(call);
    return await work();
  };
  const recover = async ({ namespace, id }: Found, reach: Promise<Reach>): Promise<void> => {
    try {
      if (bundleOf(ports, { namespace, id }).isOfProcess) {
        return await recoverPod(ports, bundleOf(ports, { namespace, id }), reach, giveUp);
      }
      const reason = await recoverTask(ports, await reach, giveUp, call);
      if (reason === undefined) recovered.push({ namespace, id });
      else lost.push({ namespace, id, reason });
    } catch (err) {
      if (call.signal.aborted) throw toFault(call.signal.reason);
      ports.log.error({ err, namespace, task: id }, "bundle cannot be recovered");
      lost.push({ namespace, id, reason: toFault(err).message });
    }
  };
  const late = new Map<string, Promise<void>>();
  using silence = new Silence(silentMs);
  const all = bundles.map(async (found, at) => {
    const key = `${found.namespace}/${found.id}`;
    const work = recover(found, reaching[at] as Promise<Reach>);
    // Whoever wants a pod's shim waits for it by himself: its sandbox is not in there.
    if (!bundleOf(ports, found).isOfProcess) {
      late.set(
        key,
        work.catch(() => {}),
      );
    }
    await work;
    late.delete(key);
    silence.broken();
  });
  // Of an abort those that still go on tell as well, to nobody.
  for (const one of all) one.catch(() => {});
  await untilAborted(Promise.all(all), silence.signal);
  if (late.size > 0)
    ports.log.warn({ tasks: [...late.keys()] }, "shims do not answer yet; the start goes on");
  const shimsEnd = endBundlelessShims(ports, bundles).catch((err: unknown) =>
    ports.log.warn({ err }, "shims without bundles may be left"),
  );
  await Promise.all([removeOrphanWork(ports), shimsEnd]);
  return { recovered, lost, late };
}

/** A bundle, and its shim unless that cannot be reached. */
interface Reach {
  readonly bundle: Bundle;
  readonly sandboxId: string;
  readonly binary: ShimBinary | undefined;
  readonly address: string;
  readonly shim: Shim | undefined;
  /** Why there is no shim. */
  readonly failure: unknown;
}

async function reachShim(ports: RecoverPorts, found: Found, call: Cancellable): Promise<Reach> {
  const { namespace, id } = found;
  const { log } = ports;
  const bundle = bundleOf(ports, found);
  using pump = new DisposableStack();
  let sandboxId = "";
  let binary: ShimBinary | undefined;
  let address = "";
  try {
    sandboxId = noteOr(ports, bundle, "sandbox");
    binary = await binaryOf(ports, bundle);
    const bootstrap = readBootstrap(ports, bundle, sandboxId);
    ({ address } = bootstrap);
    // First: a shim that was just started hangs while its log has no reader.
    const logPump = pump.use(openLog(bundle, log));
    const request = { binary, bootstrap, namespace, id, attempts: 1, log };
    using limit = turnLimit(ports.loadTimeoutMs, call.signal);
    const shim = await ports.pool.connect(request, limit);
    if (!shim.hold(id)) throw fault("UNAVAILABLE", "shim has ended");
    pump.move();
    if (logPump !== null) shim.adoptLog(logPump);
    return { bundle, sandboxId, binary, address, shim, failure: undefined };
  } catch (failure) {
    if (call.signal.aborted) throw toFault(call.signal.reason);
    return { bundle, sandboxId, binary, address, shim: undefined, failure };
  }
}

/** Cleans up after a task or a shim, in its turn. */
type GiveUp = <T>(work: () => Promise<T>) => Promise<T>;

function bundleOf({ bundles, work }: TaskFolders, { namespace, id }: Found): Bundle {
  return new Bundle({ bundles, work, namespace, id });
}

// Answers why the task is lost, or undefined when it is back.
async function recoverTask(
  ports: RecoverPorts,
  reach: Reach,
  giveUp: GiveUp,
  call: Cancellable,
): Promise<string | undefined> {
  const { bundle, sandboxId, binary, address, shim } = reach;
  const { namespace, id } = bundle;
  try {
    if (shim === undefined) throw reach.failure;
    using limit = turnLimit(ports.loadTimeoutMs, call.signal);
    const { signal } = limit;
    const { pid } = await shim.api.State({ id, execId: "" }, { signal, namespace });
    ports.adopt(bundle, shim, sandboxId, pid);
    return undefined;
  } catch (error) {
    if (call.signal.aborted) throw error;
    const reason = toFault(error).message;
    ports.log.warn({ namespace, task: id, reason }, "task is lost, cleaning up");
    if (shim === undefined && (await isBare(bundle))) {
      await clearRuntimeState(bundle, ports.log);
      await bundle.remove();
      return reason;
    }
    await giveUp(async () => {
      await ports.abandon(bundle, binary, shim);
      if (shim === undefined && address !== "") await removeDeadSocket(socketPathOf(address));
    });
    return reason;
  }
}

/** The shim of a sandbox process's containers. One that is out of reach ends; the next container starts another. */
async function recoverPod(
  ports: RecoverPorts,
  bundle: Bundle,
  reach: Promise<Reach>,
  giveUp: GiveUp,
): Promise<void> {
  const shim = reach.then(async ({ address, binary, failure, shim }) => {
    if (shim !== undefined) return shim;
    await giveUp(async () => {
      await ports.killStrays(bundle, binary);
      if (address !== "") await removeDeadSocket(socketPathOf(address));
    });
    throw toFault(failure);
  });
  ports.adoptPod(bundle, shim);
  await Promise.allSettled([shim]);
}

/** Nothing in it and nothing of it runs: no program need be asked. */
async function isBare(bundle: Bundle): Promise<boolean> {
  const names = await readdir(bundle.path).catch(() => undefined);
  return names?.length === 0 && !(await isInRuntime(bundle));
}

/** A bundle that does not say which shim it is of is taken for the usual one's. */
async function binaryOf({ binaries, log }: RecoverPorts, bundle: Bundle): Promise<ShimBinary> {
  const file = noteOr({ log }, bundle, "shim-binary-path");
  try {
    return await binaries.resolve(file, "");
  } catch (err) {
    log.warn({ err, task: bundle.id, file }, "shim of a bundle not found, taking the usual one");
    return binaries.resolve("io.containerd.runc.v2", "");
  }
}

/** What a file of the bundle says; "" also for one that cannot be read. */
function noteOr({ log }: Pick<RecoverPorts, "log">, bundle: Bundle, name: string): string {
  try {
    return bundle.readNote(name);
  } catch (err) {
    log.warn({ err, task: bundle.id, file: name }, "bundle is damaged");
    return "";
  }
}

/**
 * Where the shim is: as we wrote it down, as shims up to 2.2 do (`address`), or, when the bundle is
 * damaged or the daemon died before it could write, as runc shims make it up.
 */
function readBootstrap(
  { grpcAddress, log }: RecoverPorts,
  bundle: Bundle,
  sandboxId: string,
): Bootstrap {
  for (const name of ["bootstrap.json", "address"]) {
    const text = noteOr({ log }, bundle, name);
    if (text === "") continue;
    try {
      return parseBootstrapAnswer(Buffer.from(text));
    } catch (err) {
      log.warn({ err, task: bundle.id, file: name }, "bundle is damaged");
    }
  }
  const address = runcShimAddress(grpcAddress, bundle.namespace, sandboxId || bundle.id);
  return { version: 3, address, protocol: "ttrpc" };
}

// Only the bundle in which the shim was started has its log.
function openLog(bundle: Bundle, log: Logger): ShimLogPump | null {
  try {
    return new ShimLogPump(bundle.file("log"), log.child({ task: bundle.id }));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT")
      log.warn({ err: error, task: bundle.id }, "shim log is unreadable");
    return null;
  }
}

async function findBundles(ports: RecoverPorts): Promise<Found[]> {
  const top = ports.bundles;
  const found: Found[] = [];
  for (const namespace of await foldersIn(top)) {
    for (const id of await foldersIn(path.join(top, namespace))) {
      if (!id.startsWith(".")) {
        if (!ports.isKnown(namespace, id)) found.push({ namespace, id });
        continue;
      }
      // A removal that a crash cut short: the bundle is unmounted and renamed already.
      await eraseFolder(path.join(top, namespace, id)).catch((err: unknown) =>
        ports.log.warn({ err, namespace, folder: id }, "leftover of a bundle was not removed"),
      );
    }
  }
  return found;
}

async function endBundlelessShims(ports: RecoverPorts, found: readonly Found[]): Promise<void> {
  const { grpcAddress, log, killShims = killShimsWithoutBundle } = ports;
  const bundles = new Set(found.map(({ namespace, id }) => `${namespace}/${id}`));
  const killed = await killShims({
    grpcAddress,
    bundles: ports.bundles,
    spared: await ports.pool.pids(),
    hasBundle: (namespace, id) => bundles.has(`${namespace}/${id}`) || ports.isKnown(namespace, id),
  });
  if (killed.length === 0) return;
  log.warn({ shims: killed }, "killed shims whose bundles were gone");
  await Promise.all(
    killed.map(({ namespace, id }) =>
      removeDeadSocket(socketPathOf(runcShimAddress(grpcAddress, namespace, id))),
    ),
  );
}

/** Work folders without a bundle. What still runs is ended: nobody would tell of its end, or make it. */
async function removeOrphanWork(ports: RecoverPorts): Promise<void> {
  const top = ports.work;
  for (const namespace of await foldersIn(top)) {
    const bundles = new Set(await foldersIn(path.join(ports.bundles, namespace)));
    for (const id of await foldersIn(path.join(top, namespace))) {
      if (bundles.has(id) || ports.isKnown(namespace, id)) continue;
      await endBundleless(ports, { namespace, id });
      await rm(path.join(top, namespace, id), { recursive: true, force: true }).catch(
        (err: unknown) =>
          ports.log.warn({ err, namespace, task: id }, "leftover of a task was not removed"),
      );
    }
  }
}

async function endBundleless(ports: RecoverPorts, { namespace, id }: Found): Promise<void> {
  const { log } = ports;
  const bundle = bundleOf(ports, { namespace, id });
  if (!(await isInRuntime(bundle))) {
    await clearRuntimeState(bundle, log);
    return;
  }
  log.warn({ namespace, task: id }, "bundle is gone, ending its task");
  try {
    await ports.abandon(bundle, undefined, undefined);
  } catch (err) {
    log.error({ err, namespace, task: id }, "task without a bundle was not ended");
  }
}
