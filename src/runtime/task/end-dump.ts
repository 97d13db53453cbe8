// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { identify, killProcess, type NamedProcess, waitUntilGone } from "../../base/os/proc.ts";
import { timeoutSignal } from "../../base/timers.ts";
import { killStuckDump } from "../death/stuck-runtime.ts";

/** A task as CRIU dumps it. */
export interface DumpedTask {
  readonly id: string;
  readonly pid: number;
  readonly shim: { readonly pid: number };
}

/** How long CRIU may take to let go of the processes by itself, and to be gone after SIGKILL. */
const releaseMs = 4_000;

/**
 * Ends a dump that nobody waits for any more. The OCI runtime goes first, by which CRIU knows that it is to give up: it
 * takes its code out of the processes and puts the freezer back as it was. One that does not is killed: its code in the
 * processes sees that, and takes itself out. Afterwards nobody traces the task, and nobody writes to its freezer late.
 */
export async function endDump(task: DumpedTask): Promise<void> {
  await killStuckDump(task.shim.pid, task.id);
  await criuLetsGo(task, { signal: timeoutSignal(releaseMs) });
}

/** Waits until CRIU, where it holds the task, lets go of it; when the signal fires it is killed. */
export async function criuLetsGo(task: DumpedTask, call: Cancellable): Promise<void> {
  const criu = await tracingCriu(task);
  if (criu === undefined || (await waitUntilGone(criu, call.signal))) return;
  killProcess(criu, "SIGKILL");
  await waitUntilGone(criu, timeoutSignal(releaseMs));
}

/** The CRIU that traces init. It is in the shim's cgroup, as all is that the OCI runtime starts: a container has its own. */
async function tracingCriu({ pid, shim }: DumpedTask): Promise<NamedProcess | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const tracer = identify(Number(/^TracerPid:\t(\d+)$/m.exec(status)?.[1] ?? 0));
  if (tracer?.name !== "criu") return undefined;
  const [home, its] = await Promise.all([shim.pid, tracer.pid].map(cgroupsOf));
  return home !== "" && home === its ? tracer : undefined;
}

async function cgroupsOf(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
}
