// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { toFault } from "../base/errors.ts";
import { killProcess, statFields } from "../base/os/proc.ts";
import { readStart } from "../base/read-bounded.ts";
import { sleep } from "../base/timers.ts";
import { commandLine, flagOf, hostProcesses } from "../doctor/facts/processes.ts";
import { Host } from "../doctor/host.ts";
import { connectLight } from "../rpc/light/light-client.ts";

const cri = "runtime.v1.RuntimeService";
/** What a kubelet waits for. containerd 2 has a third condition, of deprecated settings. */
const needed = ["RuntimeReady", "NetworkReady"];
const answerMs = 10_000;

/** Whether a CRI runtime serves there, and why not. */
export async function whyNotReady(socket: string, call: Cancellable): Promise<string | undefined> {
  try {
    using connection = connectLight(socket);
    using limit = deadline(answerMs, "its answer", call.signal);
    const { status } = await connection.client(cri).Status({}, limit);
    const missing = needed.flatMap((type) => {
      const found = status?.conditions.find((one) => one.type === type);
      return found?.status === true ? [] : [`${type} is false: ${found?.message ?? ""}`];
    });
    return missing.length === 0 ? undefined : missing.join("; ");
  } catch (error) {
    call.signal.throwIfAborted();
    return toFault(error).message;
  }
}

/** Why no CRI runtime answers there, ready or not; undefined where one does. */
export async function whyNoAnswer(socket: string, call: Cancellable): Promise<string | undefined> {
  try {
    using connection = connectLight(socket);
    using limit = deadline(answerMs, "its answer", call.signal);
    await connection.client(cri).Version({}, limit);
    return undefined;
  } catch (error) {
    call.signal.throwIfAborted();
    return toFault(error).message;
  }
}

/** What a kubelet is told that asks for it; undefined where it is not told. */
export async function cgroupDriverOf(
  socket: string,
  call: Cancellable,
): Promise<string | undefined> {
  try {
    using connection = connectLight(socket);
    using limit = deadline(answerMs, "its cgroup driver", call.signal);
    const { linux } = await connection.client(cri).RuntimeConfig({}, limit);
    return linux?.cgroupDriver.toLowerCase();
  } catch {
    call.signal.throwIfAborted();
    return undefined;
  }
}

/** Names of the processes that are, or hold, a kubelet. */
const kubelets = new Set(["kubelet", "k3s-server", "k3s-agent"]);
/** Those that are much else, too: it is the first word that tells. */
const programs = new Set(["k3s", "rke2", "k0s"]);
const roles = new Set(["server", "agent", "worker", "controller"]);

export async function kubeletRuns(host = new Host()): Promise<boolean> {
  for (const process of await hostProcesses(host)) {
    if (kubelets.has(process.name)) return true;
    if (!programs.has(process.name)) continue;
    const [, ...words] = (await commandLine(host, process)).join(" ").split(/\s+/);
    const role = words.find((word) => word !== "" && !word.startsWith("-"));
    if (role === undefined || roles.has(role)) return true;
  }
  return false;
}

const mostProcesses = 100_000;
const rounds = 20;

/** Of a pod of that containerd: Docker's, nerdctl's and ctr's containers are in other namespaces, and no kubelet's. */
export function isPodShim(words: readonly string[], socket: string): boolean {
  // Go's flags, with one hyphen or two.
  const argv = words.map((word) => word.replace(/^--?/, "--"));
  const plain = (file: string | undefined): string | undefined =>
    file?.replace(/^\/var\/run\//, "/run/");
  return flagOf(argv, "namespace") === "k8s.io" && plain(flagOf(argv, "address")) === plain(socket);
}

/**
 * Kills what the shims of a containerd run, and them: for one that ends with the kubelet's own service, and cannot be
 * asked any more. Answers how many shims there were, which are those of pods alone.
 */
export async function killShimsOf(socket: string, call: Cancellable): Promise<number> {
  const host = new Host();
  let most = 0;
  for (let round = 0; round < rounds; round += 1) {
    const shims: number[] = [];
    for (const process of await hostProcesses(host)) {
      if (!process.name.startsWith("containerd-shim")) continue;
      if (isPodShim(await commandLine(host, process), socket)) shims.push(process.pid);
    }
    most = Math.max(most, shims.length);
    if (shims.length === 0) return most;
    for (const one of await withDescendants(shims, host)) killProcess(one, "SIGKILL");
    await sleep(250, call);
  }
  return most;
}

/** Those below come first: a shim that ends gives its children away. */
async function withDescendants(roots: readonly number[], host: Host) {
  const children = new Map<number, { readonly pid: number; readonly startTime: string }[]>();
  const all = new Map<number, { readonly pid: number; readonly startTime: string }>();
  for (const name of (await host.names("/proc")).slice(0, mostProcesses)) {
    if (!/^\d+$/.test(name)) continue;
    const stat = (await readStart(`/proc/${name}/stat`, 4096).catch(() => "")).toString();
    const fields = statFields(stat);
    const one = { pid: Number(name), startTime: fields[19] ?? "" };
    all.set(one.pid, one);
    const parent = Number(fields[1]);
    children.set(parent, [...(children.get(parent) ?? []), one]);
  }
  const found = roots.flatMap((pid) => all.get(pid) ?? []);
  // An array's iterator comes to what is added meanwhile.
  for (const { pid } of found) found.push(...(children.get(pid) ?? []));
  return found.toReversed();
}
