// SPDX-License-Identifier: Apache-2.0
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { unpackAny } from "../../rpc/codec.ts";
import type { ShimBinary } from "./binary.ts";

/** How a shim may be started: "auto" takes the direct way where it is known to do the same. */
export type ShimLaunch = "auto" | "helper" | "direct";

export interface LaunchFacts {
  readonly binary: ShimBinary;
  /** The task's OCI spec, JSON. */
  readonly spec: Uint8Array;
  readonly id: string;
  /** "" where there is none. */
  readonly sandboxId: string;
  readonly options: ProtoAny | null;
}

const runcOptions = "containerd.runc.v1.Options";
/** Annotations by which runc shims put several tasks into one process. */
const groupKeys = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

/**
 * Whether a shim is started without its helper. The helper alone joins a task to the shim of its
 * group and moves a shim into a cgroup (ShimCgroup): then it is used whatever is wanted.
 */
export function isDirect(wanted: ShimLaunch, facts: LaunchFacts): boolean {
  if (wanted === "helper" || !isAlone(facts) || hasShimCgroup(facts.options)) return false;
  return wanted === "direct" || (facts.binary.isRunc && facts.binary.version !== undefined);
}

// As text: parsing a spec takes a millisecond. A quote inside a JSON string would be escaped.
function isAlone({ spec, id, sandboxId }: LaunchFacts): boolean {
  if (sandboxId !== "" && sandboxId !== id) return false;
  const text = Buffer.from(spec.buffer, spec.byteOffset, spec.byteLength);
  if (!groupKeys.some((key) => text.includes(`"${key}"`))) return true;
  const groups =
    /"io\.(?:containerd\.runc\.v2\.group|kubernetes\.cri\.sandbox-id)"\s*:\s*"([^"]*)"/g;
  return text
    .toString("utf8")
    .matchAll(groups)
    .every(([, group]) => group === id);
}

function hasShimCgroup(options: ProtoAny | null): boolean {
  return (unpackAny(runcOptions, options)?.shimCgroup ?? "") !== "";
}
