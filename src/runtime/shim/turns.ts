// SPDX-License-Identifier: Apache-2.0
import { BriefTurns } from "../../base/brief-turns.ts";
import { ourShares, runtimeCallBytes } from "../../base/memory/memory-shares.ts";
import type { CallOptions, ServiceClient } from "../../rpc/service.ts";

type TaskApi = ServiceClient<"containerd.task.v3.Task">;

/** What has a shim run the OCI runtime, some 10 MiB each, in the daemon's cgroup unless shims have their own. */
const running = [
  "Create",
  "Start",
  "Delete",
  "Exec",
  "Kill",
  "Pause",
  "Resume",
  "Checkpoint",
  "Update",
] as const satisfies readonly (keyof TaskApi)[];

const turns = new BriefTurns({
  atOnce: ourShares().runtimeCalls,
  bytes: runtimeCallBytes,
  briefMs: 2_000,
});

/** The same API, of which a few such calls run at a time, of all shims together. */
export function inTurns(api: TaskApi): TaskApi {
  const limited: Record<string, unknown> = { ...api };
  for (const name of running) {
    const ask = api[name].bind(api) as (
      request: unknown,
      options?: CallOptions,
    ) => Promise<unknown>;
    limited[name] = async (request: unknown, options: CallOptions = {}): Promise<unknown> => {
      using _turn = await turns.acquire(options.signal ? { signal: options.signal } : {});
      return await ask(request, options);
    };
  }
  return limited as unknown as TaskApi;
}
