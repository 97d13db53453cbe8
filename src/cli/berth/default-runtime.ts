// SPDX-License-Identifier: Apache-2.0
import { sandboxRuntimeName } from "../../oci/sandbox-runtime-name.ts";

/** What verbose Status tells of the OCI runtime of pods that name no handler. */
export interface DefaultRuntimeFacts {
  readonly handler: string;
  readonly program: string;
  readonly by: string;
  readonly reason: string;
}

/** Which OCI runtime pods have that name no handler, and why. */
export function describeDefault({ program, by, reason }: DefaultRuntimeFacts): string {
  return `default OCI runtime: ${program} (${by}: ${reason})\n`;
}

/** Which OCI runtime a pod has, by its verbose status; its shim's type where that is not runc's. */
export function runtimeOf(info: {
  readonly runtimeType?: string;
  readonly runtimeOptions?: { readonly BinaryName?: string } | null;
}): string {
  const { runtimeType = "", runtimeOptions } = info;
  if (!runtimeType.startsWith("io.containerd.runc.")) return runtimeType || "-";
  return runtimeOptions?.BinaryName || "runc";
}

/** What holds a pod's namespaces, by its verbose status: a process of its own, or a container in a shim. */
export function sandboxOf(info: {
  readonly pid?: number;
  readonly sandboxRuntimeType?: string;
}): string {
  const { pid = 0, sandboxRuntimeType = "" } = info;
  if (sandboxRuntimeType === "") return "-";
  const kind =
    sandboxRuntimeType === sandboxRuntimeName
      ? "a process without a shim"
      : `in a shim of ${sandboxRuntimeType}`;
  return pid === 0 ? kind : `${kind} (pid ${pid})`;
}
