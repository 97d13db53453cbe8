// SPDX-License-Identifier: Apache-2.0
import { encoded, messagesOf } from "../convert/chunks.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "podMetrics">;

/** ListMetricDescriptors: the same for the daemon's life, because a kubelet asks once, at its start. */
export function listMetricDescriptors({ podMetrics }: Needs): Verb<"ListMetricDescriptors"> {
  return () => Promise.resolve({ descriptors: podMetrics.descriptors() });
}

/** ListPodSandboxMetrics: of all ready sandboxes; a container that cannot be read lacks its own series only. */
export function listPodSandboxMetrics({ podMetrics }: Needs): Verb<"ListPodSandboxMetrics"> {
  return async (_request, call) => ({ podMetrics: await podMetrics.list(call) });
}

/** StreamPodSandboxMetrics: the same, each sandbox once, in messages of a bounded size. */
export function streamPodSandboxMetrics({ podMetrics }: Needs): Verb<"StreamPodSandboxMetrics"> {
  return async function* (_request, call) {
    const metrics = await podMetrics.list(call);
    const items = encoded("runtime.v1.PodSandboxMetrics", metrics);
    yield* messagesOf("runtime.v1.StreamPodSandboxMetricsResponse", "podSandboxMetrics", items);
  };
}
