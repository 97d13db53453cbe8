// SPDX-License-Identifier: Apache-2.0
import type { ContainersContainerInit, ProtoAnyInit } from "../../gen/tasks.gen.ts";
import { encodeOciSpec } from "../../runtime/oci/encode-spec.ts";
import type { OciSpec } from "../../runtime/oci/spec.ts";
import { type Handler, runtimeOptions } from "../handlers.ts";

/** Type URL of an OCI spec in an Any, as containerd clients write and expect it. */
export const ociSpecTypeUrl = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/** Label that says whether a container of `k8s.io` is a pod's sandbox or a container in it. */
export const kindLabel = "io.cri-containerd.kind";
/** Label that `ctr tasks kill` reads its default signal from. */
const stopSignalLabel = "io.containerd.image.config.stop-signal";

/** Names that only Berth, containerd and their clients give. */
const reservedPrefixes = [
  "containerd.io/",
  "io.containerd.",
  "io.cri-containerd",
  "io.berth.",
  "nerdctl/",
];

/** What differs between the containerd records of sandboxes and containers. */
export interface OciContainerFacts {
  readonly id: string;
  readonly kind: "sandbox" | "container";
  readonly labels: Readonly<Record<string, string>>;
  readonly image: string;
  readonly stopSignal?: string;
  readonly handler: Handler;
  readonly spec: OciSpec;
  /** "" for a sandbox: its task gets a shim of its own. */
  readonly sandboxId: string;
  readonly snapshotter?: string;
  readonly snapshotKey?: string;
}

/** The containerd record of a sandbox or container. */
export function containerRecordInit(facts: OciContainerFacts): ContainersContainerInit {
  const { handler, stopSignal = "" } = facts;
  return {
    id: facts.id,
    labels: {
      ...withoutReserved(facts.labels),
      ...(stopSignal === "" ? {} : { [stopSignalLabel]: stopSignal }),
      [kindLabel]: facts.kind,
    },
    image: facts.image,
    runtime: { name: handler.config.type, options: runtimeOptions(handler) },
    spec: specAny(facts.spec),
    snapshotter: facts.snapshotter ?? "",
    snapshotKey: facts.snapshotKey ?? "",
    sandbox: facts.sandboxId,
  };
}

/**
 * Labels of an image, or of a pod's manifest, without those that mean something to containerd's parts
 * and clients: with them a tenant could have a thing kept or started again, or a program run as its
 * logger (CVE-2026-53488).
 */
function withoutReserved(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).filter(
      ([name]) => !reservedPrefixes.some((prefix) => name.startsWith(prefix)),
    ),
  );
}

/** A spec as the containerd record carries it. */
export function specAny(spec: OciSpec): ProtoAnyInit {
  return { type_url: ociSpecTypeUrl, value: encodeOciSpec(spec) };
}
