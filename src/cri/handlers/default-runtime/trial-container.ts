// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import type { CriConfig, RuntimeHandlerConfig } from "../../../config/config.ts";
import { encodeOciSpec } from "../../../oci/encode-spec.ts";
import type { OciMount, OciNamespace } from "../../../oci/spec.ts";
import { codec } from "../../../rpc/codec.ts";
import type { HostFacts, RuntimeFeatures } from "../../oci-spec/ports.ts";
import type { SpecBuilders } from "../../ports.ts";
import type { TrialRequest } from "./ports.ts";
import { weighedOptions } from "./weigh.ts";

export interface TrialContainerNeeds {
  readonly specs: Pick<SpecBuilders, "sandbox">;
  readonly cri: CriConfig;
  readonly host: HostFacts;
  readonly pauseRootfs: string;
}

/** A tree with mounts below, of which each lacks most options. */
const tree = "/dev";
const memoryBytes = 64 * 1024 * 1024;
const processes = 32;

/**
 * The container of a trial: the built-in sandbox image, with the spec that a pod's sandbox has, and what runc could do
 * besides. `limits` are what its cgroup is to have.
 */
export async function trialContainer(
  { specs, cri, host, pauseRootfs }: TrialContainerNeeds,
  handler: RuntimeHandlerConfig,
  wanted: RuntimeFeatures,
): Promise<{
  readonly request: TrialRequest;
  readonly limits: Readonly<Record<string, string>>;
}> {
  const id = `berth-trial-${randomBytes(8).toString("hex")}`;
  const spec = await specs.sandbox({
    id,
    config: trialPod(id),
    netnsPath: "",
    handler,
    features: wanted,
    cri,
    host,
    files: { hostname: "", hosts: "", resolvConf: "", shm: "" },
    pauseRootfs,
  });
  const { linux } = spec;
  const cgroupsPath = handler.systemdCgroup ? `:berth:${id}` : `/${id}`;
  linux.cgroupsPath = cgroupsPath;
  spec.hostname = "trial";
  const types: OciNamespace["type"][] = ["mount", "pid", "ipc", "uts", "network"];
  if (wanted.cgroupNamespaces && host.cgroupNamespaces) types.push("cgroup");
  linux.namespaces = types.map((type) => ({ type }));
  linux.sysctl = { ...linux.sysctl, "net.ipv4.ip_unprivileged_port_start": "0" };
  const limits: Record<string, string> = {};
  if (host.cgroupControllers.includes("memory")) {
    linux.resources = { ...linux.resources, memory: { limit: memoryBytes } };
    limits["memory"] = String(memoryBytes);
  }
  if (host.cgroupControllers.includes("pids")) {
    linux.resources = { ...linux.resources, pids: { limit: processes } };
    limits["pids"] = String(processes);
  }
  const options = [...weighedOptions(wanted), ...(wanted.recursiveReadOnlyMounts ? ["rro"] : [])];
  const mounts = options.map((option) => ({ at: `/tmp/${option}`, option }));
  spec.mounts = [...spec.mounts, scratch, ...mounts.map(({ at, option }) => bind(at, option))];
  const request = {
    program: handler.binaryName,
    id,
    spec: encodeOciSpec(spec),
    cgroupsPath,
    systemdCgroup: handler.systemdCgroup,
    process: spec.process.args[0] ?? "",
    mounts,
  };
  return { request, limits };
}

const scratch: OciMount = {
  destination: "/tmp",
  type: "tmpfs",
  source: "tmpfs",
  options: ["nosuid", "nodev", "mode=0755", "size=64k"],
};

function bind(destination: string, option: string): OciMount {
  const kind = option.startsWith("r") ? "rbind" : "bind";
  return { destination, type: "bind", source: tree, options: [kind, option] };
}

function trialPod(id: string) {
  const pod = codec("runtime.v1.PodSandboxConfig");
  const namespaceOptions = { network: "NODE", pid: "POD", ipc: "POD" } as const;
  const seccomp = { profileType: "RuntimeDefault" } as const;
  return pod.decode(
    pod.encode({
      metadata: { name: id, namespace: "", uid: id, attempt: 0 },
      linux: { securityContext: { namespaceOptions, seccomp } },
    }),
  );
}
