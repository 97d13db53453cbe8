// SPDX-License-Identifier: Apache-2.0

import { EncodedMessage } from "../../rpc/encoded-message.ts";
import { encodedContainerStatus } from "../convert/container-statuses.ts";
import { protoJson, specOf, verboseInfo } from "../convert/verbose-json.ts";
import { describeOptions } from "../handlers/handlers.ts";
import type { CriParts } from "../parts.ts";
import { type HandlerOfPodNeeds, handlerOfPod } from "../sandbox/pod-handler.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { absentAsUndefined } from "../task/purge-task.ts";
import type { Verb } from "./verb.ts";

type Needs = HandlerOfPodNeeds &
  Pick<CriParts, "client" | "containers" | "liveContainers" | "snapshotter">;

/** ContainerStatus: NOT_FOUND for an unknown one; verbose adds what an operator looks for. */
export function containerStatus(parts: Needs): Verb<"ContainerStatus"> {
  return async (request, call) => {
    const record = parts.containers.require(request.containerId);
    const info = request.verbose ? await describe(parts, record, call.signal) : undefined;
    return EncodedMessage.of(
      "runtime.v1.ContainerStatusResponse",
      { status: encodedContainerStatus(record) },
      info && { info },
    );
  };
}

async function describe(
  parts: Needs,
  record: ContainerRecord,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const { client, snapshotter } = parts;
  const handler = handlerOfPod(parts, record.sandboxId);
  const container = await absentAsUndefined(() => client.loadContainer(record.id, { signal }));
  return verboseInfo({
    sandboxID: record.sandboxId,
    pid: record.state.kind === "running" ? record.state.pid : 0,
    removing: parts.liveContainers.of(record.id).ending,
    privileged: record.config.linux?.securityContext?.privileged ?? false,
    snapshotKey: record.id,
    snapshotter: snapshotter.name,
    runtimeType: handler.config.type,
    runtimeOptions: describeOptions(handler),
    config: protoJson(record.config),
    ...(record.changes && { changedBy: record.changes }),
    runtimeSpec: specOf(container?.record.spec),
  });
}
