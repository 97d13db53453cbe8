// SPDX-License-Identifier: Apache-2.0
import type { PodSandboxInit } from "../../nri/messages.ts";
import type { OciSpec } from "../../oci/spec.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { fromCriResources, fromOciResources } from "./resource-messages.ts";

/** A pod as plugins know it. Without a spec, as of one whose container is gone, what only that has is left out. */
export function podMessage(record: SandboxRecord, spec: OciSpec | undefined): PodSandboxInit {
  const { config, state } = record;
  const { metadata, linux } = config;
  return {
    id: record.id,
    name: metadata?.name,
    uid: metadata?.uid,
    namespace: metadata?.namespace,
    labels: config.labels,
    annotations: { ...config.annotations, ...spec?.annotations },
    runtimeHandler: record.runtimeHandler,
    linux: {
      podOverhead: fromCriResources(record.resources?.overhead ?? linux?.overhead),
      podResources: fromCriResources(record.resources?.resources ?? linux?.resources),
      cgroupParent: linux?.cgroupParent,
      cgroupsPath: spec?.linux.cgroupsPath ?? record.cgroupsPath,
      namespaces: spec?.linux.namespaces,
      resources: spec && fromOciResources(spec.linux.resources),
    },
    pid: state.kind === "ready" ? state.pid : 0,
    ips: addresses(record),
  };
}

function addresses({ network }: SandboxRecord): readonly string[] {
  return network.kind === "up" ? [network.ip, ...network.additionalIps] : [];
}
