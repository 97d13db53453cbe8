// SPDX-License-Identifier: Apache-2.0
import {
  AuthorizationV1Api,
  CoreV1Api,
  PatchStrategy,
  setHeaderOptions,
  type V1Node,
  type V1Pod,
  type V1PodList,
} from "@kubernetes/client-node";
import { version } from "../../base/version.ts";
import { openApi } from "./api-configuration.ts";
import type { KubeCall } from "./open-kubeconfig.ts";
import { AnswerTooLarge, ApiFailure } from "./problem.ts";

/** What a migration may do to a cluster, as an operator: cordon, drain, look. */
export interface NodeClient {
  readonly server: string;
  node(name: string): Promise<V1Node>;
  setUnschedulable(name: string, isCordoned: boolean): Promise<void>;
  annotate(name: string, annotations: Readonly<Record<string, string>>): Promise<void>;
  podsOf(node: string): Promise<readonly V1Pod[]>;
  /** Asks for an eviction, which a PodDisruptionBudget may refuse with a 429; a 409: another has its name by now. */
  evict(pod: EvictedPod): Promise<void>;
  /** Which of these the user of the kubeconfig may not do. */
  missingRights(node: string): Promise<readonly string[]>;
}

export interface EvictedPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** A pod may have a MiB, most have ten KiB; an answer has 4 MiB at most. */
const podsAtOnce = 40;
/** No kubelet has more, in any configuration. */
const mostPods = 5000;
const userAgent = setHeaderOptions("User-Agent", `berth/${version}`);
const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch, userAgent);

export async function openNodeClient(
  kubeconfig: readonly string[],
  call: KubeCall,
): Promise<NodeClient> {
  const { server, configuration } = await openApi(kubeconfig, call);
  const core = new CoreV1Api(configuration);
  const patch = async (name: string, body: object): Promise<void> => {
    await core.patchNode({ name, body }, merge);
  };
  return {
    server,
    node: async (name) => {
      const node = await core.readNode({ name }, userAgent);
      if (node?.metadata?.name !== name) {
        throw new ApiFailure("rubbish", "the answer is not what was asked for");
      }
      return node;
    },
    setUnschedulable: (name, isCordoned) =>
      patch(name, { spec: { unschedulable: isCordoned ? true : null } }),
    annotate: (name, annotations) => patch(name, { metadata: { annotations } }),
    podsOf: (node) => podsOf(core, node),
    evict: async ({ namespace, name, uid }) => {
      // A StatefulSet's next pod has the same name, and may be on another node.
      const deleteOptions = { preconditions: { uid } };
      const metadata = { namespace, name };
      const body = { apiVersion: "policy/v1", kind: "Eviction", metadata, deleteOptions };
      await core.createNamespacedPodEviction({ namespace, name, body }, userAgent);
    },
    missingRights: (node) => missingRights(new AuthorizationV1Api(configuration), node),
  };
}

async function podsOf(core: CoreV1Api, node: string): Promise<readonly V1Pod[]> {
  const pods: V1Pod[] = [];
  let next: string | undefined;
  let limit = podsAtOnce;
  for (;;) {
    const fieldSelector = `spec.nodeName=${node}`;
    const asked = { fieldSelector, limit, ...(next && { _continue: next }) };
    let page: V1PodList;
    try {
      page = await core.listPodForAllNamespaces(asked, userAgent);
    } catch (error) {
      if (!(error instanceof AnswerTooLarge) || limit === 1) throw error;
      limit = Math.ceil(limit / 2);
      continue;
    }
    const { items, metadata } = page;
    if (!Array.isArray(items)) throw new ApiFailure("rubbish", "the answer is no list");
    pods.push(...items);
    next = metadata?._continue;
    if (!next || pods.length >= mostPods) return pods;
  }
}

async function missingRights(api: AuthorizationV1Api, node: string): Promise<readonly string[]> {
  const wanted = [
    { verb: "get", resource: "nodes", name: node },
    { verb: "patch", resource: "nodes", name: node },
    { verb: "list", resource: "pods" },
    { verb: "create", resource: "pods", subresource: "eviction" },
  ];
  const missing: string[] = [];
  for (const resourceAttributes of wanted) {
    const body = { spec: { resourceAttributes } };
    const answer = await api.createSelfSubjectAccessReview({ body }, userAgent);
    const { verb, resource, subresource } = resourceAttributes;
    if (answer.status?.allowed !== true) {
      missing.push(`${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`);
    }
  }
  return missing;
}
