// SPDX-License-Identifier: Apache-2.0
import type { LinuxContainerResources, PodSandboxConfig } from "../../gen/cri.gen.ts";
import type { RecordCodec } from "../../metadata/ports.ts";
import { StoredFields } from "../../metadata/stored-fields.ts";
import type { PodNetworkRequest } from "../../network/ports.ts";
import { codec } from "../../rpc/codec.ts";
import type { PodHandler } from "../handlers/handlers.ts";
import { noRuntimeFeatures } from "../oci-spec/runtime-features.ts";
import type { SpecChange } from "../spec-review.ts";
import type { NamedRecord } from "./record-store.ts";

/**
 *     creating ──▶ ready ──▶ notReady
 *         └────────────────────▲
 *
 * A *creating* sandbox is durable, so that a crash leaves nothing behind, but not visible. A sandbox
 * is *notReady* once its task has ended, or when a failed start could not be undone.
 */
export type SandboxState =
  | { readonly kind: "creating" }
  | { readonly kind: "ready"; readonly pid: number }
  | { readonly kind: "notReady"; readonly reason: string };

/**
 * What the sandbox holds of the network: *pending* means that a setup may have run (tear it down),
 * *up* that it succeeded, *down* that nothing is left. `raw` is the CNI results by network.
 */
export type SandboxNetwork =
  | { readonly kind: "host" }
  | { readonly kind: "pending"; readonly netnsPath: string }
  | {
      readonly kind: "up";
      readonly netnsPath: string;
      readonly ip: string;
      readonly additionalIps: readonly string[];
      readonly raw: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "down" };

export interface SandboxRecord extends NamedRecord {
  readonly config: PodSandboxConfig;
  /** As the request named it; "" for the default. */
  readonly runtimeHandler: string;
  /** What that was when the pod was made; absent in records of older daemons. */
  readonly handler?: PodHandler | undefined;
  readonly createdAtNanos: bigint;
  /** Path of its task's cgroup as the spec has it; "" before the spec is built. */
  readonly cgroupsPath: string;
  readonly network: SandboxNetwork;
  readonly state: SandboxState;
  /** What UpdatePodSandboxResources told last; absent before. */
  readonly resources?: SandboxResources | undefined;
  /** What plugins have changed of its spec; absent when none has. */
  readonly changes?: readonly SpecChange[] | undefined;
}

/** A pod's resources as a kubelet has them: what its runtime needs, and what all containers need. */
export interface SandboxResources {
  readonly overhead: LinuxContainerResources | null;
  readonly resources: LinuxContainerResources | null;
}

/** The sandbox after its task has ended, or after a start that failed half-way. */
export function becomeNotReady(record: SandboxRecord, reason: string): SandboxRecord {
  if (record.state.kind === "notReady") return record;
  return { ...record, state: { kind: "notReady", reason } };
}

/** The sandbox after its network has been taken down. */
export function withoutNetwork(record: SandboxRecord): SandboxRecord {
  const { kind } = record.network;
  return kind === "host" || kind === "down" ? record : { ...record, network: { kind: "down" } };
}

/** The path of the pinned network namespace; "" for the host's, or when it is gone. */
export function netnsPathOf(record: SandboxRecord): string {
  return "netnsPath" in record.network ? record.network.netnsPath : "";
}

/** True when the pod lives in the node's network namespace. */
export function usesHostNetwork(config: PodSandboxConfig): boolean {
  return config.linux?.securityContext?.namespaceOptions?.network === "NODE";
}

/** What ADD and DEL of this sandbox get; the same on both, as CNI asks. */
export function networkRequest(
  sandbox: { readonly id: string; readonly config: PodSandboxConfig },
  netnsPath: string,
): PodNetworkRequest {
  const { config } = sandbox;
  return {
    sandboxId: sandbox.id,
    netnsPath,
    podName: config.metadata?.name ?? "",
    podNamespace: config.metadata?.namespace ?? "",
    podUid: config.metadata?.uid ?? "",
    annotations: config.annotations,
    portMappings: config.portMappings
      .filter(({ hostPort }) => hostPort > 0)
      .map(({ protocol, containerPort, hostPort, hostIp }) => ({
        protocol: protocolName(protocol),
        containerPort,
        hostPort,
        hostIp,
      })),
    dns: {
      servers: config.dnsConfig?.servers ?? [],
      searches: config.dnsConfig?.searches ?? [],
      options: config.dnsConfig?.options ?? [],
    },
    cgroupPath: config.linux?.cgroupParent ?? "",
  };
}

/** A number where the request has one that this version does not know; the network says so. */
function protocolName(protocol: string | number): "tcp" | "udp" | "sctp" {
  return String(protocol).toLowerCase() as "tcp" | "udp" | "sctp";
}

type Stored = Omit<SandboxRecord, "config" | "createdAtNanos" | "resources"> & {
  readonly config: string;
  readonly createdAtNanos: string;
  readonly resources?: { readonly overhead: string | null; readonly resources: string | null };
};

const limits = () => codec("runtime.v1.LinuxContainerResources");

function encodeLimits(value: LinuxContainerResources | null): string | null {
  return value && limits().encode(value).toString("base64");
}

function decodeLimits(value: string | null): LinuxContainerResources | null {
  return value === null ? null : limits().decode(Buffer.from(value, "base64"));
}

/** Older daemons asked for fewer features. */
function withAllFeatures(handler: PodHandler): PodHandler {
  return { ...handler, features: { ...noRuntimeFeatures, ...handler.features } };
}

/** What everything that lists sandboxes relies on. */
function checkStored(stored: StoredFields): void {
  for (const name of ["id", "name", "config", "runtimeHandler", "cgroupsPath"]) stored.text(name);
  stored.decimal("createdAtNanos");
  const state = stored.fields("state");
  const kind = state.oneOf("kind", ["creating", "ready", "notReady"]);
  if (kind === "ready") state.integer("pid");
  if (kind === "notReady") state.text("reason");
  checkNetwork(stored.fields("network"));
  if (stored.has("changes")) stored.list("changes");
  if (stored.has("handler")) {
    const handler = stored.fields("handler");
    handler.text("name");
    handler.fields("config");
    const features = handler.fields("features");
    if (features.has("mountOptions")) features.textList("mountOptions");
  }
}

function checkNetwork(network: StoredFields): void {
  const kind = network.oneOf("kind", ["host", "pending", "up", "down"]);
  if (kind === "pending" || kind === "up") network.text("netnsPath");
  if (kind !== "up") return;
  network.text("ip");
  network.textList("additionalIps");
  network.fields("raw");
}

/** The row's form: the config as base64 of its protobuf, so that fields of later CRI minors survive. */
export const sandboxRecordCodec: RecordCodec<SandboxRecord> = {
  version: 1,
  encode: ({ resources, ...record }): Stored => ({
    ...record,
    config: codec("runtime.v1.PodSandboxConfig").encode(record.config).toString("base64"),
    createdAtNanos: record.createdAtNanos.toString(),
    ...(resources && {
      resources: {
        overhead: encodeLimits(resources.overhead),
        resources: encodeLimits(resources.resources),
      },
    }),
  }),
  decode: (value) => {
    checkStored(new StoredFields("sandbox", value));
    const { resources, handler, ...row } = value as Stored;
    return {
      ...row,
      ...(handler && { handler: withAllFeatures(handler) }),
      config: codec("runtime.v1.PodSandboxConfig").decode(Buffer.from(row.config, "base64")),
      createdAtNanos: BigInt(row.createdAtNanos),
      ...(resources && {
        resources: {
          overhead: decodeLimits(resources.overhead),
          resources: decodeLimits(resources.resources),
        },
      }),
    };
  },
};
