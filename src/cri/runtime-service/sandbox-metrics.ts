// SPDX-License-Identifier: Apache-2.0
import { chunksOf } from "../convert/chunks.ts";
import type { Facade, Verb } from "../facade.ts";

/** ListMetricDescriptors: the same for the daemon's life, because a kubelet asks once, at its start. */
export function listMetricDescriptors(facade: Facade): Verb<"ListMetricDescriptors"> {
  return () => Promise.resolve({ descriptors: facade.ports.podMetrics.descriptors() });
}

/** ListPodSandboxMetrics: of all ready sandboxes; a container that cannot be read lacks its own series only. */
export function listPodSandboxMetrics(facade: Facade): Verb<"ListPodSandboxMetrics"> {
  return async (_request, call) => ({ podMetrics: await facade.ports.podMetrics.list(call) });
}

/** StreamPodSandboxMetrics: the same, each sandbox once, in messages of a bounded size. */
export function streamPodSandboxMetrics(facade: Facade): Verb<"StreamPodSandboxMetrics"> {
  return async function* (_request, call) {
    const metrics = await facade.ports.podMetrics.list(call);
    for (const podSandboxMetrics of chunksOf(metrics, "runtime.v1.PodSandboxMetrics")) {
      call.signal.throwIfAborted();
      yield { podSandboxMetrics };
    }
  };
}
