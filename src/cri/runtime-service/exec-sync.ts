// SPDX-License-Identifier: Apache-2.0

import { type Deadline, deadline } from "../../base/deadline.ts";
import { fault } from "../../base/errors.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { ExitStatus, Process } from "../../client/ports.ts";
import type { ExecSyncRequest, ExecSyncResponseInit } from "../../gen/cri.gen.ts";
import { deleteExec, type EndExecNeeds, killExec } from "../container/end-exec.ts";
import {
  newExecId,
  type ProcessNeeds,
  processOf,
  type RunningNeeds,
  runningContainer,
} from "../container/exec-target.ts";
import type { Claim } from "../lifecycle/operation.ts";
import { refuseUnlessRunnable } from "../oci-spec/args.ts";
import type { CriParts } from "../parts.ts";
import type { CapturedOutput } from "../ports.ts";
import type { Verb } from "./verb.ts";

type Needs = RunningNeeds &
  ProcessNeeds &
  EndExecNeeds &
  Pick<CriParts, "capture" | "config" | "lifetime" | "operations" | "placeForExec">;

/** What kubelets and crictl take in one message. */
const clientBytes = 16 * 1024 * 1024;
/** An answer's fields beside the output. */
const answerOverheadBytes = 64;

/**
 * ExecSync: the command's output and exit code.
 *
 * - The output is cut at a limit without a word, and further where both streams are more than a client takes.
 * - The wait for output after the exit is bounded: a child that keeps a pipe open cannot hold the call.
 * - DEADLINE_EXCEEDED after the request's timeout: the one code a kubelet takes for a probe's timeout.
 */
export function execSync(parts: Needs): Verb<"ExecSync"> {
  return async (request, call) => {
    const record = parts.containers.require(request.containerId);
    refuseUnlessSensible(request);
    const { id, task } = runningContainer(parts, record.id, "exec in");
    using claim = new DisposableStack();
    claim.use(await parts.placeForExec?.(id, call));
    const op = claim.use(parts.operations.claim("ExecSync", id, "debug"));
    const { cri, grpc } = parts.config;
    using kept = new DisposableStack();
    const output = kept.use(parts.capture.create(cri.execSyncOutputLimitBytes));
    const spec = { ...(await processOf(parts, id, call)), args: request.cmd };
    const execId = newExecId(id);
    using limit = timeLimit(request, call.signal);
    const process = await op.run("exec", () =>
      task.exec(execId, { ...spec, terminal: false }, output.io, limit),
    );
    try {
      const status = await runToEnd(parts, op, process, limit);
      await op.run("drain", () => drain(process, cri.execSyncDrainTimeoutMs));
      const cutShort = output.cutShort(`output of the command in container "${id}"`);
      if (cutShort) throw cutShort;
      return lasting(answer(output, status, grpc.maxSendBytes), kept.move());
    } finally {
      // A probe's result does not wait for it; the operation lasts until it is done.
      const pending = claim.move();
      void op.run("delete", () => deleteExec(parts, process)).finally(() => pending.dispose());
    }
  };
}

type TimeLimit = Deadline & { readonly ms: number };

/** Of start and run: a command that cannot be started in time has timed out as well. */
function timeLimit({ cmd, timeout }: ExecSyncRequest, caller: AbortSignal): TimeLimit {
  const ms = timeout === 0n ? Number.POSITIVE_INFINITY : Number(timeout) * 1000;
  const fired = fault(
    "DEADLINE_EXCEEDED",
    `command "${cmd.join(" ")}" timed out after ${timeout}s`,
  );
  return Object.assign(deadline(ms, fired, caller), { ms });
}

function refuseUnlessSensible({ cmd, timeout }: ExecSyncRequest): void {
  if (cmd.length === 0) throw fault("INVALID_ARGUMENT", "cmd is empty");
  refuseUnlessRunnable("cmd", cmd);
  if (timeout < 0n) throw fault("INVALID_ARGUMENT", `timeout ${timeout} is negative`);
}

async function runToEnd(
  parts: EndExecNeeds & Pick<Needs, "lifetime">,
  op: Claim,
  process: Process,
  limit: TimeLimit,
): Promise<ExitStatus> {
  const exit = await process.wait({ signal: parts.lifetime });
  try {
    await op.run("start", () => process.start(limit));
    return await op.run("run", () => unlessAborted(exit.status, limit.signal), limit.ms);
  } catch (error) {
    if (limit.signal.aborted) await killExec(parts, process, exit.status);
    throw error;
  }
}

/** An answer that gives the output's memory back once it is encoded. */
function lasting(answer: ExecSyncResponseInit, kept: Disposable): ExecSyncResponseInit {
  return Object.defineProperty(answer, Symbol.dispose, { value: () => kept[Symbol.dispose]() });
}

async function drain(process: Process, timeoutMs: number): Promise<void> {
  if (!process.io) return;
  using limit = deadline(timeoutMs, "draining the output");
  try {
    await process.io.drained(limit);
  } catch (error) {
    // Time is up: what came in so far is the answer.
    if (!limit.signal.aborted) throw error;
  }
}

function answer(
  output: CapturedOutput,
  status: ExitStatus,
  maxSendBytes: number,
): ExecSyncResponseInit {
  if (status.error) {
    throw fault("UNAVAILABLE", `the exit of the command could not be learnt`, {
      cause: status.error,
    });
  }
  const room = Math.min(maxSendBytes, clientBytes) - answerOverheadBytes;
  return { ...fitInAnswer(output.stdout(), output.stderr(), room), exitCode: status.exitCode };
}

/** Cuts what does not fit: a stream keeps half of the room at least, and what the other leaves. */
function fitInAnswer(
  stdout: Uint8Array,
  stderr: Uint8Array,
  room: number,
): { stdout: Uint8Array; stderr: Uint8Array } {
  const half = Math.floor(room / 2);
  return {
    stdout: stdout.subarray(0, Math.max(half, room - stderr.length)),
    stderr: stderr.subarray(0, Math.max(half, room - stdout.length)),
  };
}
