// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { cleanupDeadline } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import type { ExitStatus, Process, Task } from "../../client/ports.ts";
import type { ExecSyncRequest, ExecSyncResponseInit } from "../../gen/cri.gen.ts";
import type { OciProcess, OciSpec } from "../../runtime/oci/spec.ts";
import { killNow } from "../container/purge-task.ts";
import type { Facade, Verb } from "../facade.ts";
import { deadline, within } from "../lifecycle/deadline.ts";
import type { Operation } from "../lifecycle/operations.ts";
import type { CapturedOutput } from "../ports.ts";
import { describeState } from "../store/container-record.ts";

/** How long a killed process may take to go before the call answers without it. */
const killedMs = 5_000;
const noTimeoutMs = 2 ** 31 - 1;

/**
 * ExecSync: the command's output and exit code. The output is cut at a limit without a word; the wait
 * for output after the exit is bounded, so a child that keeps a pipe open cannot hold the call.
 * DEADLINE_EXCEEDED after the request's timeout: the one code a kubelet takes for a probe's timeout.
 */
export function execSync(facade: Facade): Verb<"ExecSync"> {
  return async (request, call) => {
    const { id, task } = runningTask(facade, request);
    using op = facade.operations.claim("ExecSync", id, "debug");
    const { cri } = facade.ports.config;
    const output = facade.ports.capture.create(cri.execSyncOutputLimitBytes);
    const spec = { ...(await processOf(facade, id, call.signal)), args: request.cmd };
    const execId = randomBytes(16).toString("hex");
    const process = await op.run("exec", () =>
      task.exec(execId, { ...spec, terminal: false }, output.io, call),
    );
    try {
      const status = await runToEnd(facade, op, process, request, call.signal);
      await op.run("drain", () => drain(process, cri.execSyncDrainTimeoutMs));
      return answer(output, status);
    } finally {
      await op.run("delete", () => discard(facade, process));
    }
  };
}

function runningTask(facade: Facade, request: ExecSyncRequest): { id: string; task: Task } {
  const { id, state } = facade.containers.require(request.containerId);
  if (request.cmd.length === 0) throw fault("INVALID_ARGUMENT", "cmd is empty");
  if (request.timeout < 0n) {
    throw fault("INVALID_ARGUMENT", `timeout ${request.timeout} is negative`);
  }
  if (state.kind !== "running") {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot exec in container "${id}": state is ${describeState(state)}, not running`,
    );
  }
  const { task } = facade.live.of(id);
  if (task) return { id, task };
  throw fault("UNAVAILABLE", `cannot exec in container "${id}": its task was not recovered`);
}

/** The process of the container's spec: an exec differs from it by its arguments only. */
async function processOf(facade: Facade, id: string, signal: AbortSignal): Promise<OciProcess> {
  const live = facade.live.of(id);
  if (live.process) return live.process;
  live.container ??= await facade.ports.client.loadContainer(id, { signal });
  const { value } = live.container.record.spec ?? {};
  if (!value) throw fault("INTERNAL", `container "${id}" has no spec`);
  live.process = (JSON.parse(Buffer.from(value).toString()) as OciSpec).process;
  return live.process;
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
    await killAndWait(process, exit.status);
    throw error;
  }
  await killAndWait(process, exit.status);
  throw fault(
    "DEADLINE_EXCEEDED",
    `command "${request.cmd.join(" ")}" timed out after ${request.timeout}s`,
  );
}

async function killAndWait(process: Process, status: Promise<unknown>): Promise<void> {
  await killNow(process, { signal: cleanupDeadline(killedMs) });
  await within(status, killedMs);
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

async function discard(facade: Facade, process: Process): Promise<void> {
  try {
    await process.delete({ signal: cleanupDeadline() });
  } catch (error) {
    await process.io?.[Symbol.asyncDispose]();
    if (isFault(error, "NOT_FOUND")) return;
    facade.ports.log.warn({ err: error, exec: process.id }, "exec could not be deleted");
  }
}
