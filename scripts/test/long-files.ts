// SPDX-License-Identifier: Apache-2.0

/**
 * Test files that take long, the longest of each step first. They begin first, so that a step does not end with one of
 * them alone, and a processor idle.
 */
export const longFiles: readonly string[] = [
  "scripts/test/overdue-file.test.ts",
  "src/images/manifest/document-reader.test.ts",
  "src/streaming/streaming-server.test.ts",
  "test/fuzz/targets.test.ts",
  "src/base/process.test.ts",
  "src/kube/kube-reporter.test.ts",
  "src/metadata/metadata.test.ts",
  "src/streaming/hostile-clients.test.ts",
  "src/cri/runtime-service/sandbox-checkpoint.test.ts",
  "src/logs/container-logs.test.ts",

  "test/integration/images/hostile-registry.test.ts",
  "test/integration/images/hostile-layers.test.ts",
  "test/integration/images/hostile-images.test.ts",
  "test/integration/network/cni-verbs.test.ts",
  "test/integration/images/compressed-archives.test.ts",
  "test/integration/images/joined-pulls.test.ts",
  "test/integration/doctor/sick-nodes.test.ts",
  "test/integration/images/content-faults.test.ts",
  "test/integration/images/full-disk.test.ts",
  "test/integration/doctor/hanging-node.test.ts",
  "test/integration/runtime/stuck-runtime.test.ts",

  "test/e2e/cluster-facts.test.ts",
  "test/e2e/restart.test.ts",
  "test/e2e/berth-images.test.ts",
  "test/e2e/networks.test.ts",
  "test/e2e/berth-cli.test.ts",
  "test/e2e/damaged.test.ts",
  "test/e2e/full-disk.test.ts",
  "test/e2e/further-sockets.test.ts",
  "test/e2e/ctr-cycle.test.ts",
  "test/e2e/berth-streaming.test.ts",
  "test/e2e/default-runtime.test.ts",

  "test/e2e/conformance/cluster.test.ts",
  "test/e2e/conformance/cluster-migration.test.ts",
  "test/e2e/conformance/kubelet.test.ts",
  "test/e2e/conformance/systemd-migration.test.ts",
  "test/e2e/conformance/limits-with-shims.test.ts",
  "test/e2e/conformance/image-kills.test.ts",
  "test/e2e/conformance/critest.test.ts",
  "test/e2e/conformance/limits.test.ts",
  "test/e2e/conformance/chaos.test.ts",
  "test/e2e/conformance/crash-steps.test.ts",
  "test/e2e/conformance/crashes.test.ts",
  "test/e2e/conformance/nri-plugins.test.ts",

  "test/package/deb.test.ts",
  "test/package/full-disk.test.ts",
  "test/package/archive.test.ts",
  "test/package/critest.test.ts",
];

const order = new Map(longFiles.map((file, at) => [file, at]));

/** For sorting: of paths from the project's folder. */
export function longestFirst(a: string, b: string): number {
  const [first = Infinity, second = Infinity] = [order.get(a), order.get(b)];
  if (first !== second) return first - second;
  return a < b ? -1 : Number(a > b);
}
