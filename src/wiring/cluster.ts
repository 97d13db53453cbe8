// SPDX-License-Identifier: Apache-2.0
import { PodFacts } from "../events/pod-facts.ts";
import { KubeReporter, type KubeState } from "../kube/kube-reporter.ts";
import { WorkerLink } from "../kube/worker-link.ts";
import { type Plugin, plugin } from "../plugin/plugin.ts";
import type { CriPlugins, CriRuntime } from "./cri.ts";
import { type Environment, pluginTypes } from "./environment.ts";

/** What parts that start before the façade notice of pods, and whoever passes it on after it. */
export class Telling {
  readonly facts = new PodFacts();
  #runtime: Pick<CriRuntime, "notice" | "oomKilled"> | undefined;
  #reporter: Pick<KubeReporter, "state"> | undefined;

  /** Nothing is known of pods before the façade is up. */
  notice(...noticed: Parameters<CriRuntime["notice"]>): void {
    this.#runtime?.notice(...noticed);
  }

  /** undefined where the cluster is told nothing. */
  state(): KubeState | undefined {
    return this.#reporter?.state();
  }

  use(runtime: Pick<CriRuntime, "notice" | "oomKilled">): void {
    this.#runtime = runtime;
  }

  reportBy(reporter: Pick<KubeReporter, "state">): void {
    this.#reporter = reporter;
  }
}

/** Tells a cluster what befalls pods, where a kubeconfig is configured. */
export function clusterPlugin(
  { live, log }: Environment,
  { runtime }: CriPlugins,
  telling: Telling,
): Plugin<KubeReporter> {
  return plugin({
    type: pluginTypes.cluster,
    id: "kubernetes",
    requires: { runtime },
    init: ({ runtime }) => {
      const { facts } = telling;
      const hanging = () => runtime.hanging();
      const reporter = new KubeReporter({ facts, hanging, link: new WorkerLink(), log });
      reporter.configure(live.current.kubernetes);
      telling.reportBy(reporter);
      return reporter;
    },
  });
}
