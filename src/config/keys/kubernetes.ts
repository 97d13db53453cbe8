// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { pathOrNone, text } from "../kinds.ts";

export const kubernetes = table({
  doc: "What the cluster is told that no kubelet tells: Events on pods, and the condition RuntimeDegraded of the node. Off without a kubeconfig.",
  keys: {
    kubeconfig: key({
      name: "kubeconfig",
      kind: pathOrNone,
      default: "",
      change: "reload",
      doc: 'How to reach the API server; its current context counts. The kubelet\'s own, /etc/kubernetes/kubelet.conf, has all rights that are needed; docs/kubernetes.md has a smaller one. It and the files that it names are read anew each time. "" turns all of it off: nothing is loaded.',
    }),
    nodeName: key({
      name: "node_name",
      kind: text,
      default: "",
      change: "reload",
      doc: 'The name of the Node in the cluster; "" for the host\'s name in lower case, as kubelets take it without `--hostname-override`.',
    }),
  },
});
