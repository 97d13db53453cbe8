// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { ExitStatus, Process } from "../../client/ports.ts";
import type { ExecSyncRequest, ExecSyncResponseInit } from "../../gen/cri.gen.ts";
import { deleteExec, killExec } from "../container/end-exec.ts";
import { newExecId, processOf, runningContainer } from "../container/exec-target.ts";
import type { Facade, Verb } from "../facade.ts";
import { deadline, within } from "../lifecycle/deadline.ts";
import type { Operation } from "../lifecycle/operations.ts";
import type { CapturedOutput } from "../ports.ts";

const noTimeoutMs = 2 ** 31 - 1;

/**
 * ExecSync: the command's output and exit code. The output is cut at a limit without a word; the wait
 * for output after the exit is bounded, so a child that keeps a pipe open cannot hold the call.
 * DEADLINE_EXCEEDED after the request's timeout: the one code a kubelet takes for a probe's timeout.
 */
export function execSync(facade: Facade): Verb<"ExecSync"> {
  return async (request, call) => {
    const record = facade.containers.require(request.containerId);
    refuseUnlessSensible(request);
    const { id, task } = runningContainer(facade, record.id, "exec in");
    using claim = new DisposableStack();
    const op = claim.use(facade.operations.claim("ExecSync", id, "debug"));
    const { cri } = facade.ports.config;
    const output = facade.ports.capture.create(cri.execSyncOutputLimitBytes);
    const spec = { ...(await processOf(facade, id, call)), args: request.cmd };
    const execId = newExecId(id);
    const process = await op.run("exec", () =>
      task.exec(execId, { ...spec, terminal: false }, output.io, call),
    );
    const clear = (): Promise<void> => op.run("delete", () => deleteExec(facade, process));
    let status: ExitStatus;
    try {
      status = await runToEnd(facade, op, process, request, call.signal);
      await op.run("drain", () => drain(process, cri.execSyncDrainTimeoutMs));
    } catch (error) {
      await clear();
      throw error;
    }
    // A probe's result does not wait for it; the operation lasts until it is done.
    const pending = claim.move();
    void clear().finally(() => pending.dispose());
    return answer(output, status);
  };
}

function refuseUnlessSensible({ cmd, timeout }: ExecSyncRequest): void {
  if (cmd.length === 0) throw fault("INVALID_ARGUMENT", "cmd is empty");
  if (timeout < 0n) throw fault("INVALID_ARGUMENT", `timeout ${timeout} is negative`);
}

async function runToEnd(
  facade: Facade,
  op: Operation,
  process: Process,
  request: ExecSyncRequest,
  signal: AbortSignal,
): Promise<ExitStatus> {
  const exit = await process.wait({ signal: facade.lifetime });
  await op.run("start", () => process.start({ signal }));
  const timeoutMs = request.timeout === 0n ? noTimeoutMs : Number(request.timeout) * 1000;
  try {
    const status = await op.run("run", () =>
      within(exit.status, Math.min(timeoutMs, noTimeoutMs), signal),
    );
    if (status) return status;
  } catch (error) {
    await killExec(facade, process, exit.status);
    throw error;
  }
  await killExec(facade, process, exit.status);
  throw fault(
    "DEADLINE_EXCEEDED",
    `command "${request.cmd.join(" ")}" timed out after ${request.timeout}s`,
  );
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

function answer(output: CapturedOutput, status: ExitStatus): ExecSyncResponseInit {
  if (status.error) {
    throw fault("UNAVAILABLE", `the exit of the command could not be learnt`, {
      cause: status.error,
    });
  }
  return { stdout: output.stdout(), stderr: output.stderr(), exitCode: status.exitCode };
}
