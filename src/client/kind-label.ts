// SPDX-License-Identifier: Apache-2.0

/** Label that says whether a container of `k8s.io` is a pod's sandbox or a container in it. */
export const kindLabel = "io.cri-containerd.kind";
