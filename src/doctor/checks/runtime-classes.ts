// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../../base/cancellable.ts";
import { isRecord } from "../../base/is-record.ts";
import { shellWord } from "../../base/shell-word.ts";
import { shortened } from "../../base/shortened.ts";
import type { Check } from "../check.ts";
import type { DaemonFacts } from "../facts/daemon.ts";
import { type Finding, note, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

export const runtimeClasses: Check = {
  name: "classes",
  about:
    "RuntimeClasses whose handler this node lacks, and whether the cluster takes what it is told (with a kubeconfig)",
  needsConfig: true,
  run: async (patient, call) => {
    const { kubeconfig } = patient;
    if (kubeconfig === undefined) {
      return [ok("RuntimeClasses are looked at with [kubernetes] kubeconfig, or --kubeconfig")];
    }
    return [...telling(await patient.daemon()), ...(await classes(patient, kubeconfig, call))];
  },
};

/** What the daemon says of how it gets on with the API server. */
function telling({ info }: DaemonFacts): Finding[] {
  const state: unknown = JSON.parse(info["cluster"] ?? "null");
  if (!isRecord(state)) return [];
  const { problem, node } = state;
  if (!isRecord(problem)) return [ok(`the API server takes events, as of node ${String(node)}`)];
  return [
    warning({
      what: `the API server does not take events: ${String(problem["kind"])}: ${String(problem["message"])}`,
      why: "events on pods and the node's condition RuntimeDegraded are missing; pods do not wait for them",
      mend: "berth status; [kubernetes] in the configuration, and deploy/kubernetes/rbac.yaml",
    }),
  ];
}

async function classes(
  { config }: Patient,
  kubeconfig: string,
  { signal }: Cancellable,
): Promise<Finding[]> {
  // It takes a second and tens of MiB to load.
  const { openKubeClient } = await import("../../kube/api/kube-client.ts");
  const { problemOf } = await import("../../kube/api/problem.ts");
  try {
    const client = await openKubeClient(kubeconfig, { signal });
    const handlers = new Set(Object.keys(config.runtime.handlers));
    const found = lacking(await client.runtimeClasses(), handlers);
    return found.length > 0 ? found : [ok("this node has the handlers of all RuntimeClasses")];
  } catch (thrown) {
    signal.throwIfAborted();
    return [
      warning({
        what: `the API server does not tell RuntimeClasses: ${problemOf(thrown).message}`,
        why: "whether pods of all RuntimeClasses could start here is not known",
        mend: `kubectl --kubeconfig ${shellWord(kubeconfig)} auth can-i list runtimeclasses`,
      }),
    ];
  }
}

const longestName = 253;

function lacking(
  list: readonly {
    readonly metadata?: object;
    readonly handler?: string;
    readonly scheduling?: object;
  }[],
  handlers: ReadonlySet<string>,
): Finding[] {
  return list.flatMap(({ metadata, handler, scheduling }) => {
    const name = isRecord(metadata) ? metadata["name"] : undefined;
    if (typeof handler !== "string" || typeof name !== "string" || handlers.has(handler)) return [];
    const isElsewhere = isRecord(scheduling) && isRecord(scheduling["nodeSelector"]);
    const called = shortened(handler, longestName);
    const trouble = {
      what: `this node has no handler ${called}, which RuntimeClass ${shortened(name, longestName)} names`,
      why: isElsewhere
        ? "its pods go to nodes that its nodeSelector chooses; this should be none of them"
        : "its pods may come here, and stay in ContainerCreating",
      mend: `[runtime.handlers.${called}] in the configuration, or scheduling.nodeSelector in the RuntimeClass`,
    };
    return [isElsewhere ? note(trouble) : warning(trouble)];
  });
}
