// SPDX-License-Identifier: Apache-2.0
import type { RuntimeFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { MemoryBudget } from "../base/memory/memory-budget.ts";
import type { CallMemory } from "../rpc/grpc-server.ts";

const runtime = "/runtime.v1.RuntimeService";

/** What tells whether the daemon is well is answered while it is full of work, and because it is. */
const always = [
  `${runtime}/Version`,
  `${runtime}/Status`,
  "/containerd.services.version.v1.Version/Version",
  "/grpc.health.v1.Health/Check",
];

/** What begins something that takes memory of its own. What ends, removes or lists things gives some back. */
const costly = [
  ...["RunPodSandbox", "CreateContainer", "StartContainer", "ExecSync", "Exec", "Attach"].map(
    (name) => `${runtime}/${name}`,
  ),
  `${runtime}/PortForward`,
  `${runtime}/CheckpointContainer`,
  "/runtime.v1.ImageService/PullImage",
  "/berth.v1.Images/Load",
  ...["Create", "Start", "Exec", "Checkpoint"].map(
    (name) => `/containerd.services.tasks.v1.Tasks/${name}`,
  ),
  ...["Apply", "Diff"].map((name) => `/containerd.services.diff.v1.Diff/${name}`),
];

/** What the daemon's gRPC server knows of its memory. */
export function callMemory(budget: MemoryBudget, log: Logger): CallMemory {
  const costlyPaths = new Set(costly);
  return {
    requests: budget.requests,
    answers: budget.answers,
    maxCalls: budget.shares.calls,
    always: new Set(always),
    refusal: (path): RuntimeFault | undefined =>
      costlyPaths.has(path) ? budget.shortage(`call ${path}`) : undefined,
    shortage: (what) => budget.shortage(what),
    onRefused: (path, fault) => {
      log.info({ rpc: path.slice(1), code: fault.code, reason: fault.message }, "call refused");
    },
  };
}
