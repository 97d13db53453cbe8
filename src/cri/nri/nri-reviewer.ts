// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { ContainerAdjustment, ContainerUpdate } from "../../nri/messages.ts";
import type { NodePlugins } from "../../nri/ports.ts";
import type { OciSpec } from "../../oci/spec.ts";
import type { SpecChange, SpecReviewer } from "../spec-review.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { containerMessage } from "./container-message.ts";
import { changesOf } from "./field-owners.ts";
import { blaming } from "./name-askers.ts";
import type { NriCalls } from "./nri-calls.ts";
import { toCriResources } from "./resource-messages.ts";

/** A spec with what plugins have made of it, for a container of a pod. */
export type AdjustSpec = (
  spec: OciSpec,
  adjust: ContainerAdjustment,
  pod: SandboxRecord,
) => Promise<OciSpec>;

export interface NriReviewerNeeds {
  readonly plugins: NodePlugins;
  readonly nri: Pick<NriCalls, "pod" | "unmade">;
  readonly adjust: AdjustSpec;
  /** Applies what plugins make of other containers; logs what fails. */
  readonly applyUpdates: (updates: readonly ContainerUpdate[], call: Cancellable) => Promise<void>;
}

/** CreateContainer of NRI: the node's plugins as those who review a container's spec. They are not asked of a sandbox's. */
export function nriReviewer(parts: NriReviewerNeeds): SpecReviewer {
  const { adjust, applyUpdates, nri, plugins } = parts;
  return {
    get stage() {
      return plugins.active ? "nri" : undefined;
    },
    container: async ({ id, spec, pod: record, draft }, op, held) => {
      const pod = nri.pod(record);
      const container = () => containerMessage(draft(), spec);
      op.undo("nri", (call) => nri.unmade(pod, container, call));
      const request = () => ({ pod: pod(), container: container() });
      const creation = held.use(await plugins.createContainer(request, op));
      // First of all: what the new container gets may have to be taken from others.
      await applyUpdates(creation.updates, op);
      const { adjust: wanted } = creation;
      if (!wanted) return { spec, changes: [] };
      const resources = wanted.linux?.resources;
      const changes = changesOf(creation.owners, id);
      return {
        spec: await adjusted(() => adjust(spec, wanted, record), changes),
        changes,
        ...(resources && { limits: toCriResources(resources) }),
      };
    },
  };
}

/** An error of it names the plugins and the fields that it is about. */
async function adjusted(
  step: () => Promise<OciSpec>,
  changes: readonly SpecChange[],
): Promise<OciSpec> {
  try {
    return await step();
  } catch (error) {
    throw blaming(error, changes);
  }
}
