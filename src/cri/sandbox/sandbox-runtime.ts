// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Config } from "../../config/config.ts";
import { readSandboxProcess } from "../../oci/sandbox-process.ts";
import { sandboxRuntimeName } from "../../oci/sandbox-runtime-name.ts";
import type { OciSpec } from "../../oci/spec.ts";
import type { Handler } from "../handlers/handlers.ts";

/** OCI runtimes whose containers join the namespaces of any process; others keep a pod in a world of their own. */
const joining = ["runc", "crun", "youki"];

/** The name of the runtime that a new sandbox has: the handler's own, or that of sandbox processes where it may be one. */
export function sandboxRuntime(
  cri: Pick<Config["cri"], "sandbox">,
  { config }: Handler,
  spec: OciSpec,
): string {
  const isJoined =
    config.type === "io.containerd.runc.v2" &&
    joining.includes(path.basename(config.binaryName || "runc")) &&
    (config.shim === "" || path.basename(config.shim).startsWith("containerd-shim-runc-v2"));
  if (cri.sandbox !== "process" || !isJoined) return config.type;
  // A plugin may name another cgroup, which the handler's driver has to make sense of.
  const isOfDriver = config.systemdCgroup !== (spec.linux.cgroupsPath ?? "").startsWith("/");
  return isOfDriver && "process" in readSandboxProcess(spec) ? sandboxRuntimeName : config.type;
}
