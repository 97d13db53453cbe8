// SPDX-License-Identifier: Apache-2.0
import {
  CoreV1Api,
  NodeV1Api,
  PatchStrategy,
  setHeaderOptions,
  type V1RuntimeClass,
} from "@kubernetes/client-node";
import { version } from "../../base/version.ts";
import type { KubeJob } from "../ports.ts";
import { openApi } from "./api-configuration.ts";
import type { KubeCall } from "./open-kubeconfig.ts";
import { ApiFailure } from "./problem.ts";

/** What berthd and the doctor ask of an API server, and nothing else: deploy/kubernetes/rbac.yaml allows it. */
export interface KubeClient {
  /** Rejects with what outcomeOf understands. */
  perform(job: KubeJob): Promise<void>;
  runtimeClasses(): Promise<readonly V1RuntimeClass[]>;
}

/** How many RuntimeClasses are asked for: nobody has more. */
const mostClasses = 500;
const userAgent = setHeaderOptions("User-Agent", `berthd/${version}`);
const as = (type: string) => setHeaderOptions("Content-Type", type, userAgent);

/** A client by this kubeconfig, as it and the files that it names are now; its requests end with the signal. */
export async function openKubeClient(kubeconfig: string, call: KubeCall): Promise<KubeClient> {
  const { configuration } = await openApi(kubeconfig, call);
  const core = new CoreV1Api(configuration);
  return {
    perform: (job) => perform(core, job),
    runtimeClasses: async () => {
      const asked = { limit: mostClasses };
      const { items } = await new NodeV1Api(configuration).listRuntimeClass(asked, userAgent);
      if (!Array.isArray(items)) throw new ApiFailure("rubbish", "the answer is no list");
      return items;
    },
  };
}

async function perform(core: CoreV1Api, job: KubeJob): Promise<void> {
  switch (job.kind) {
    case "create-event": {
      const { event, namespace } = job;
      const firstTimestamp = new Date(event.firstTimestamp);
      const body = { ...event, firstTimestamp, lastTimestamp: new Date(event.lastTimestamp) };
      const made = await core.createNamespacedEvent({ namespace, body }, userAgent);
      return refuseOther(made, event.metadata.name);
    }
    case "count-event": {
      const { namespace, name, kind: _, ...body } = job;
      const { count, message, lastTimestamp } = body;
      const changed = await core.patchNamespacedEvent(
        { namespace, name, body: { count, message, lastTimestamp } },
        as(PatchStrategy.MergePatch),
      );
      return refuseOther(changed, name);
    }
    case "condition": {
      const { node: name, condition } = job;
      const body = { status: { conditions: [condition] } };
      const changed = await core.patchNodeStatus(
        { name, body },
        as(PatchStrategy.StrategicMergePatch),
      );
      return refuseOther(changed, name);
    }
  }
}

/** Whatever says 200 to anything is no API server. */
function refuseOther(
  answer: { readonly metadata?: { readonly name?: string } },
  name: string,
): void {
  if (answer?.metadata?.name !== name) {
    throw new ApiFailure("rubbish", "the answer is not what was asked for");
  }
}
