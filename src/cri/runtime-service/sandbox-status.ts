// SPDX-License-Identifier: Apache-2.0

import { nowNanos } from "../../base/now.ts";
import { EncodedMessage, KeptEncodings } from "../../rpc/encoded-message.ts";
import { encodedContainerStatuses } from "../convert/container-statuses.ts";
import { toPodSandboxStatus } from "../convert/sandbox.ts";
import { protoJson, specOf, verboseInfo } from "../convert/verbose-json.ts";
import { describeOptions } from "../handlers/handlers.ts";
import type { CriParts } from "../parts.ts";
import { type HandlerNeeds, podHandler } from "../sandbox/pod-handler.ts";
import { containersOf } from "../store/container-record.ts";
import { netnsPathOf, type SandboxRecord, usesHostNetwork } from "../store/sandbox-record.ts";
import { absentAsUndefined } from "../task/purge-task.ts";
import type { Verb } from "./verb.ts";

type Needs = HandlerNeeds &
  Pick<CriParts, "client" | "config" | "containers" | "liveSandboxes" | "netns" | "sandboxes">;

/** As for containers: a kubelet asks for a pod whenever one of its containers has changed, and the sandbox has not. */
const encodings = new KeptEncodings("runtime.v1.PodSandboxStatus", toPodSandboxStatus);

/** PodSandboxStatus: NOT_FOUND for an unknown one; verbose adds what an operator looks for. */
export function podSandboxStatus(parts: Needs): Verb<"PodSandboxStatus"> {
  return async (request, call) => {
    const record = parts.sandboxes.require(request.podSandboxId);
    const info = request.verbose ? await describe(parts, record, call.signal) : undefined;
    return EncodedMessage.of(
      "runtime.v1.PodSandboxStatusResponse",
      {
        status: encodings.of(record),
        containersStatuses: encodedContainerStatuses(containersOf(parts.containers, record.id)),
      },
      { timestamp: nowNanos(), ...(info && { info }) },
    );
  };
}

async function describe(
  parts: Needs,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const { client, config, netns } = parts;
  const handler = podHandler(parts, record);
  const container = await absentAsUndefined(() => client.loadContainer(record.id, { signal }));
  const netnsPath = netnsPathOf(record);
  const isReady = record.state.kind === "ready";
  const { networkCheck } = parts.liveSandboxes.of(record.id);
  return verboseInfo({
    pid: record.state.kind === "ready" ? record.state.pid : 0,
    processStatus: isReady ? "running" : "deleted",
    netNamespaceClosed:
      !usesHostNetwork(record.config) && (netnsPath === "" || !(await netns.isAlive(netnsPath))),
    image: config.cri.sandboxImage,
    snapshotKey: "",
    snapshotter: "",
    runtimeHandler: record.runtimeHandler,
    runtimeType: handler.config.type,
    runtimeOptions: describeOptions(handler),
    // What runs the sandbox itself: a process of its own has none of its containers' runtime.
    sandboxRuntimeType: container?.record.runtime?.name ?? "",
    config: protoJson(record.config),
    ...(record.resources && {
      overhead: protoJson(record.resources.overhead),
      resources: protoJson(record.resources.resources),
    }),
    ...(record.changes && { changedBy: record.changes }),
    runtimeSpec: specOf(container?.record.spec),
    cniResult: record.network.kind === "up" ? record.network.raw : null,
    ...(networkCheck === undefined ? {} : { cniCheck: networkCheck }),
    ...(record.state.kind === "notReady" ? { reason: record.state.reason } : {}),
  });
}
