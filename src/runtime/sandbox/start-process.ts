// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { BriefTurns } from "../../base/brief-turns.ts";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { SystemError } from "../../base/os/errno.ts";
import { reap } from "../../base/os/reaper.ts";
import { ProcessFault, run } from "../../base/process.ts";
import type { SandboxProcess } from "../../oci/sandbox-process.ts";
import type { SandboxCgroup } from "./sandbox-cgroup.ts";

/** Its steps are the kernel's own work; a frozen cgroup alone makes it wait. */
const startMs = 30_000;
/** So many at a time: whoever waits for one would only wait for all of them. */
const turns = new BriefTurns({ atOnce: 4, bytes: 0 });
/** CLONE_NEW flags of clone(2). */
const newFlags = { mount: 0x2_0000, uts: 0x400_0000, ipc: 0x800_0000, pid: 0x2000_0000 };

export interface StartRequest {
  readonly id: string;
  /** The pause program, whose `-s` starts it. */
  readonly program: string;
  readonly process: SandboxProcess;
  /** The cgroup that it is born in; else it is in ours until somebody moves it. */
  readonly cgroup: SandboxCgroup | undefined;
  /** The FIFO that the process holds as long as it lives. */
  readonly alive: string;
  /** The FIFO that it awaits its byte from. */
  readonly start: string;
}

/** A process that is a child of ours. */
export interface StartedProcess {
  readonly pid: number;
  /** Its exit status, 128 and the signal's number for one that was killed. */
  readonly exited: Promise<number>;
}

/**
 * Starts a sandbox process up to where a byte makes it load its program. After a failure there is none.
 * INTERNAL tells which step failed and why; else it is what `run` throws.
 */
export async function startProcess(
  request: StartRequest,
  call: Cancellable,
): Promise<StartedProcess> {
  const args = ["-s", ...stepsOf(request), "--", ...request.process.process.args];
  const options = { env: {}, signal: call.signal, timeoutMs: startMs, anyExitCode: true };
  using _turn = await turns.acquire(call);
  let text: string;
  let failure: ProcessFault | undefined;
  try {
    text = (await run(request.program, args, options)).stdout.toString();
  } catch (error) {
    if (!(error instanceof ProcessFault)) throw error;
    text = error.stdout.toString(); // it tells the pid as soon as there is one
    failure = error;
  }
  const [, pidText, errno = "", place = ""] = /^(\d+) (?:(\d+) (.*)\n)?/s.exec(text) ?? [];
  const pid = Number(pidText ?? 0);
  if (pid > 0 && failure === undefined && errno === "0") return { pid, exited: reapAs(pid) };
  if (pid > 0) {
    process.kill(pid, "SIGKILL"); // ours even when it has ended: nobody else reaps it
    await reapAs(pid);
  }
  if (failure !== undefined) throw failure;
  const cause = new SystemError("pause", Number(errno), place);
  throw fault("INTERNAL", `cannot start sandbox "${request.id}": ${cause.message}`, { cause });
}

async function reapAs(pid: number): Promise<number> {
  const { exitCode, signal } = await reap(pid, { keepsAlive: false, isLate: true });
  if (signal === undefined) return exitCode ?? 255;
  return 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
}

/** In the order in which they must be taken: see src/pause/sandbox.c. */
function stepsOf({ alive, cgroup, start, process: { process, ...spec } }: StartRequest): string[] {
  const pathOf = (wanted: "network" | "user"): string =>
    spec.linux.namespaces.find(({ type }) => type === wanted)?.path ?? "";
  const [network, user] = [pathOf("network"), pathOf("user")];
  const flags = spec.linux.namespaces.reduce((all, { type }) => {
    return type === "network" || type === "user" ? all : all | newFlags[type];
  }, newFlags.mount);
  const { uid, gid, additionalGids = [] } = process.user;
  const { apparmorProfile = "", selinuxLabel = "", oomScoreAdj } = process;
  const steps = [...(cgroup?.steps ?? [])];
  if (oomScoreAdj !== undefined) steps.push("o", String(oomScoreAdj));
  if (user !== "") steps.push("e", user);
  if (network !== "") steps.push("n", network);
  steps.push("f", String(flags), "k", alive, start);
  for (const [name, value] of Object.entries(spec.linux.sysctl ?? {})) {
    steps.push("w", `/proc/sys/${sysctlPath(name)}`, value);
  }
  if (apparmorProfile !== "") steps.push("w", apparmorFile(), `exec ${apparmorProfile}`);
  if (selinuxLabel !== "") steps.push("w", "/proc/self/attr/exec", selinuxLabel);
  if (spec.hostname) steps.push("h", spec.hostname);
  steps.push("r", spec.root.path);
  for (const group of additionalGids) steps.push("g", String(group));
  return [...steps, "u", String(uid), String(gid)];
}

/** Kernels since 5.8 have one for each security module; what is common is one module's alone. */
function apparmorFile(): string {
  const own = "/proc/self/attr/apparmor/exec";
  return existsSync(own) ? own : "/proc/self/attr/exec";
}

/** `net.ipv4.ip_forward` and `net/ipv4/conf/eth0.1/rp_filter` are both used: the first separator tells. */
function sysctlPath(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  return first === "/" ? name : name.replaceAll(/[./]/g, (mark) => (mark === "." ? "/" : "."));
}
