// SPDX-License-Identifier: Apache-2.0

import { kindLabel } from "../../client/kind-label.ts";
import type { ContainersContainerInit } from "../../gen/containers.gen.ts";
import type { OciSpec } from "../../oci/spec.ts";
import { specAny } from "../../oci/spec-any.ts";
import { type Handler, runtimeOptions } from "../handlers/handlers.ts";

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
  /** Name of the runtime where it is not the handler's. */
  readonly runtime?: string;
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
    runtime: { name: facts.runtime ?? handler.config.type, options: runtimeOptions(handler) },
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
