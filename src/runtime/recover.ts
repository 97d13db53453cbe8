// SPDX-License-Identifier: Apache-2.0
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, fault, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { Bundle, eraseFolder, taskFolder } from "./bundle.ts";
import type { RecoveryReport } from "./ports.ts";
import type { ShimBinaries, ShimBinary } from "./shim/binary.ts";
import { type Bootstrap, parseBootstrapAnswer, socketPathOf } from "./shim/bootstrap-answer.ts";
import { removeDeadSocket } from "./shim/dead-socket.ts";
import { ShimLogPump } from "./shim/log-pump.ts";
import type { Shim } from "./shim/shim.ts";
import type { ShimPool } from "./shim/shim-pool.ts";

export interface RecoverPorts {
  readonly root: string;
  readonly state: string;
  readonly pool: ShimPool;
  readonly binaries: ShimBinaries;
  readonly loadTimeoutMs: number;
  readonly log: Logger;
  isKnown(namespace: string, id: string): boolean;
  /** Lists the task of a live shim. */
  adopt(bundle: Bundle, shim: Shim, sandboxId: string, pid: number): unknown;
  /** Ends a task that cannot be recovered and removes its bundle. */
  abandon(bundle: Bundle, binary: ShimBinary | undefined, shim: Shim | undefined): Promise<void>;
}

type Found = { readonly namespace: string; readonly id: string };

/**
 * Rebuilds the list of tasks from the bundles on disk: every shim is connected in parallel, each
 * bounded by the load timeout, and State is asked of each task. A bad bundle costs only itself.
 */
export async function recoverTasks(
  ports: RecoverPorts,
  call: Cancellable,
): Promise<RecoveryReport> {
  const recovered: Found[] = [];
  const lost: (Found & { reason: string })[] = [];
  const bundles = await findBundles(ports);
  await Promise.all(
    bundles.map(async ({ namespace, id }) => {
      try {
        const reason = await recoverTask(ports, namespace, id, call);
        if (reason === undefined) recovered.push({ namespace, id });
        else lost.push({ namespace, id, reason });
      } catch (err) {
        if (call.signal.aborted) throw toFault(call.signal.reason);
        ports.log.error({ err, namespace, task: id }, "bundle cannot be recovered");
        lost.push({ namespace, id, reason: toFault(err).message });
      }
    }),
  );
  await removeOrphanWork(ports);
  return { recovered, lost };
}

// Answers why the task is lost, or undefined when it is back.
async function recoverTask(
  ports: RecoverPorts,
  namespace: string,
  id: string,
  call: Cancellable,
): Promise<string | undefined> {
  const bundle = new Bundle({ root: ports.root, state: ports.state, namespace, id });
  const signal = AbortSignal.any([call.signal, AbortSignal.timeout(ports.loadTimeoutMs)]);
  let binary: ShimBinary | undefined;
  let shim: Shim | undefined;
  try {
    const [binaryPath, bootstrap, sandboxId] = await Promise.all([
      bundle.read("shim-binary-path"),
      readBootstrap(bundle),
      bundle.read("sandbox"),
    ]);
    binary = await ports.binaries.resolve(binaryPath, "");
    const request = { binary, bootstrap, namespace, id, attempts: 1, log: ports.log };
    const found = await ports.pool.connect(request, { signal });
    if (!found.hold(id)) throw fault("UNAVAILABLE", "shim has ended");
    shim = found;
    const { pid } = await shim.api.State({ id, execId: "" }, { signal, namespace });
    readLog(bundle, shim, ports.log);
    ports.adopt(bundle, shim, sandboxId, pid);
    return undefined;
  } catch (error) {
    if (call.signal.aborted) throw error;
    const reason = toFault(error).message;
    ports.log.warn({ namespace, task: id, reason }, "task is lost, cleaning up");
    const bootstrap = await readBootstrap(bundle).catch(() => undefined);
    await ports.abandon(bundle, binary, shim);
    if (bootstrap) await removeDeadSocket(socketPathOf(bootstrap.address));
    return reason;
  }
}

async function readBootstrap(bundle: Bundle): Promise<Bootstrap> {
  // `address` is what shims up to 2.2 write themselves: it may be there when ours is not yet.
  const text = (await bundle.read("bootstrap.json")) || (await bundle.read("address"));
  if (text === "") throw fault("NOT_FOUND", "bundle names no shim");
  return parseBootstrapAnswer(Buffer.from(text));
}

// Only the bundle in which the shim was started has its log.
function readLog(bundle: Bundle, shim: Shim, log: Logger): void {
  try {
    shim.adoptLog(new ShimLogPump(bundle.file("log"), log.child({ task: bundle.id })));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT")
      log.warn({ err: error, task: bundle.id }, "shim log is unreadable");
  }
}

async function findBundles(ports: RecoverPorts): Promise<Found[]> {
  const top = path.join(ports.state, taskFolder);
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

async function removeOrphanWork(ports: RecoverPorts): Promise<void> {
  const top = path.join(ports.root, taskFolder);
  for (const namespace of await foldersIn(top)) {
    const bundles = new Set(await foldersIn(path.join(ports.state, taskFolder, namespace)));
    for (const id of await foldersIn(path.join(top, namespace))) {
      if (bundles.has(id) || ports.isKnown(namespace, id)) continue;
      await rm(path.join(top, namespace, id), { recursive: true, force: true });
    }
  }
}

async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
