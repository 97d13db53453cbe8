// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { deadline } from "../../base/deadline.ts";
import { fault, toFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { identify, type NamedProcess, waitUntilGone } from "../../base/os/proc.ts";
import { run } from "../../base/process.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { specCgroups } from "../death/leftover-processes.ts";
import { clearTrial, pidFileName } from "./clear-trial.ts";
import { type Sight, type TriedMount, type Witnessed, witness } from "./witness.ts";

/** Of each call of the runtime, and of all together: a pod does without it meanwhile, so there is time. */
const callMs = 10_000;
const trialMs = 30_000;
/** At such a niceness a busy node has a process wait for seconds, and what came late would count as what cannot be. */
const seenMs = 10_000;
const niceness = 15;
/** A runtime that has more to say is not what it should be. */
const maxOutputBytes = 64 * 1024;

/** One container that nobody has asked for, to see whether an OCI runtime works on this host. */
export interface Trial {
  /** Path of the OCI runtime. */
  readonly program: string;
  /** Folder of trials; each has one of its own in it. */
  readonly folder: string;
  /** The container's; what is left of it is found by this. */
  readonly id: string;
  /** OCI spec, JSON; its process must go on until it is killed, and be called `process`. */
  readonly spec: Uint8Array;
  readonly cgroupsPath: string;
  readonly systemdCgroup: boolean;
  /** Path of the process's program as the container sees it. */
  readonly process: string;
  /** Mounts of the spec that are looked at. */
  readonly mounts: readonly TriedMount[];
}

export interface TrialOptions {
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** How long one call of the runtime may take; ten seconds when left out. */
  readonly callMs?: number;
  /** How long what a call has answered may take to be seen; ten seconds when left out. */
  readonly seenMs?: number;
}

/**
 * Creates, starts, kills and deletes a container as shims have it done, at a low priority, and looks in the kernel at
 * what came of it: the runtime's word alone counts for nothing. Nothing is left, whatever happens.
 *
 * FAILED_PRECONDITION for what the runtime did not do; DEADLINE_EXCEEDED, CANCELLED and what else `run` throws
 * where that says nothing of what it can.
 */
export async function tryRuntime(
  trial: Trial,
  { log, signal, ...options }: TrialOptions,
): Promise<Witnessed> {
  using limit = deadline(trialMs, `trying ${trial.program}`, signal);
  const home = path.join(trial.folder, trial.id);
  await mkdir(trial.folder, { mode: 0o700, recursive: true });
  await mkdir(home, { mode: 0o700 });
  await using undo = new AsyncDisposableStack();
  undo.defer(() => clearTrial(trial.folder, trial.id, log));
  const call = caller(trial, home, { ms: options.callMs ?? callMs, signal: limit.signal });
  await mkdir(path.join(home, "bundle"), { mode: 0o700 });
  await writeFile(path.join(home, "bundle", "config.json"), trial.spec, { mode: 0o600 });

  const pidFile = path.join(home, pidFileName);
  await call("create", "--bundle", path.join(home, "bundle"), "--pid-file", pidFile, trial.id);
  const init = await initOf(pidFile);
  await call("start", trial.id);
  const seen = { seenMs: options.seenMs ?? seenMs, signal: limit.signal };
  const witnessed = await witness(init.pid, trial, seen);
  await call("kill", trial.id, "9");
  await gone(init, seen);
  await call("delete", trial.id);
  const left = await specCgroups(trial.id, trial.cgroupsPath);
  if (left.length > 0) throw failed(`its delete leaves the cgroup ${left[0]}`);
  return witnessed;
}

type Call = (command: string, ...args: readonly string[]) => Promise<void>;

/** Calls it with what go-runc, which shims use, gives it. */
function caller(
  { program, systemdCgroup }: Trial,
  home: string,
  { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
): Call {
  const common = [
    "--root",
    path.join(home, "state"),
    "--log",
    path.join(home, "log.json"),
    "--log-format",
    "json",
    ...(systemdCgroup ? ["--systemd-cgroup"] : []),
  ];
  return async (command, ...args) => {
    try {
      await run(program, [...common, command, ...args], {
        signal,
        timeoutMs: ms,
        niceness,
        maxOutputBytes,
      });
    } catch (error) {
      const { code, message } = toFault(error);
      if (code !== "UNKNOWN") throw error;
      const said = (await lastLogged(path.join(home, "log.json"))) || message;
      throw fault("FAILED_PRECONDITION", `its ${command} fails: ${said}`, { cause: error });
    }
  };
}

/** What it wrote of its error; "" when nothing that can be read. */
async function lastLogged(file: string): Promise<string> {
  try {
    const lines = (await readBounded(file, maxOutputBytes)).toString().trimEnd().split("\n");
    const { msg } = JSON.parse(lines.at(-1) ?? "") as { msg?: unknown };
    return typeof msg === "string" ? msg.slice(0, 512) : "";
  } catch {
    return "";
  }
}

async function initOf(pidFile: string): Promise<NamedProcess> {
  const text = await readBounded(pidFile, 32).catch(() => "");
  const init = identify(Number(text.toString().trim()));
  if (init === undefined) throw failed("its create makes no process");
  return init;
}

async function gone(init: NamedProcess, { seenMs: ms, signal }: Sight): Promise<void> {
  using limit = deadline(ms, "the process's end", signal);
  if (await waitUntilGone(init, limit.signal)) return;
  signal.throwIfAborted();
  throw failed("its kill ends no process");
}

function failed(message: string): Error {
  return fault("FAILED_PRECONDITION", message);
}
