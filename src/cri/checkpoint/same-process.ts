// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import { fault } from "../../base/errors.ts";
import type { ContainerConfig, PodSandboxConfig } from "../../gen/cri.gen.ts";
import type { CheckpointedPod } from "./pod-files.ts";

type Aspect<T> = readonly [what: string, of: (config: T) => unknown];

/**
 * What a request says of the process that the checkpoint has: none of it can be changed. CRIU mounts only what was mounted
 * where it was, and reopens the streams that it knows.
 */
const containerAspects: readonly Aspect<ContainerConfig>[] = [
  ["command", ({ command }) => command],
  ["args", ({ args }) => args],
  ["working_dir", ({ workingDir }) => workingDir],
  ["envs", ({ envs }) => envs.map(({ key, value }) => `${key}=${value.toString("latin1")}`).sort()],
  ["tty", ({ tty }) => tty],
  ["stdin", ({ stdin }) => stdin],
  ["run_as_user", ({ linux }) => linux?.securityContext?.runAsUser?.value],
  ["run_as_group", ({ linux }) => linux?.securityContext?.runAsGroup?.value],
  ["run_as_username", ({ linux }) => linux?.securityContext?.runAsUsername ?? ""],
  [
    "supplemental_groups",
    ({ linux }) => (linux?.securityContext?.supplementalGroups ?? []).map(String).sort(),
  ],
  ["privileged", ({ linux }) => linux?.securityContext?.privileged ?? false],
  ["mounts", ({ mounts }) => mounts.map(({ containerPath }) => containerPath).sort()],
];

const podAspects: readonly Aspect<PodSandboxConfig>[] = (["network", "pid", "ipc"] as const).map(
  (name) => [
    `namespace_options.${name}`,
    ({ linux }) => linux?.securityContext?.namespaceOptions?.[name] ?? "POD",
  ],
);

/**
 * Refuses a request whose pod is not the checkpointed one: FAILED_PRECONDITION, naming the container and the field, or
 * INVALID_ARGUMENT where the containers are others. Answers the index of each container's folder.
 */
export function matchPod(
  pod: CheckpointedPod,
  config: PodSandboxConfig,
  configs: readonly ContainerConfig[],
): readonly number[] {
  const names = pod.containers.map((container) => container.config.metadata?.name ?? "");
  if (new Set(names).size < names.length || names.includes("")) {
    throw fault("INVALID_ARGUMENT", "the checkpoint's containers have no names of their own");
  }
  compare("the pod", podAspects, pod.config, config);
  const indexes = configs.map((wanted) => {
    const name = wanted.metadata?.name ?? "";
    const index = names.indexOf(name);
    const found = pod.containers[index];
    if (!found) {
      throw fault("INVALID_ARGUMENT", `container "${name}" is not in the checkpoint`);
    }
    compare(`container "${name}"`, containerAspects, found.config, wanted);
    return index;
  });
  const missing = names.find((_name, index) => !indexes.includes(index));
  if (missing === undefined) return indexes;
  throw fault("INVALID_ARGUMENT", `container_configs has no container "${missing}"`);
}

function compare<T>(what: string, aspects: readonly Aspect<T>[], then: T, now: T): void {
  for (const [field, of] of aspects) {
    if (isDeepStrictEqual(of(then), of(now))) continue;
    throw fault(
      "FAILED_PRECONDITION",
      `cannot restore ${what}: its ${field} is not what the checkpoint has`,
    );
  }
}
