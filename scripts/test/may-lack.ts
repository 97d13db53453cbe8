// SPDX-License-Identifier: Apache-2.0

/**
 * Reasons to skip a test on a machine where scripts/setup.sh has run: what it does not bring, and what a kernel
 * or a host may not have. Any other one tells that setup.sh misses a step, or that a test leans on something that
 * only its author's machine has.
 */
const mayLack: readonly RegExp[] = [
  /^needs root\b/,
  // Built from Go sources, or installed by nobody: setup.sh says so.
  /^needs (crictl|critest|kubelet|kubectl|kube-[a-z-]+|coredns|client|[a-z-]+): .*(go|Go|build-tools)/s,
  /^needs (containerd-shim-[a-z0-9.-]+|buildkitd|buildctl): scripts\/node scripts\/build-tools\.ts$/,
  /^needs (criu|criu, ctr|systemd|systemd-analyze|tinyproxy)$/,
  /^needs a newer runc: /,
  /^needs the history of the repository$/,
  // Of the kernel or the host.
  /^needs (FUSE|IPv6|private mount propagation|cgroup v[12]\b.*|a disk in .*|a runtime with rro mounts)$/,
  /^needs a writable cgroup tree: /,
];

export function isUsualLack(reason: string): boolean {
  return mayLack.some((pattern) => pattern.test(reason));
}
