// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { LinuxSandboxSecurityContext } from "../../gen/cri.gen.ts";
import { startingSpec } from "../../oci/base-spec.ts";
import { capabilitySets } from "../../oci/capabilities.ts";
import { defaultMaskedPaths, defaultReadonlyPaths } from "../../oci/masked-paths.ts";
import type { OciMount, OciSpec } from "../../oci/spec.ts";
import { idText, requestedGroups } from "../../oci/user.ts";
import { podImageAnnotation, sandboxAnnotations } from "./annotations.ts";
import { cgroupsPath } from "./cgroups-path.ts";
import { confine } from "./confine.ts";
import { sharedMemoryMount } from "./container-mounts.ts";
import { heededOomScore } from "./crun.ts";
import { type HostNamespaces, hostNamespaces, sandboxNamespaces } from "./namespaces.ts";
import { clampOomScoreAdj, sandboxOomScoreAdj } from "./oom-score.ts";
import { checkHostname } from "./pod-hostname.ts";
import type { SandboxSpecInput, SpecServices } from "./ports.ts";
import { checkSelinux } from "./selinux.ts";
import { sandboxSysctls } from "./sysctls.ts";
import { userMappings } from "./user-namespace.ts";

/** The built-in pause needs no privilege at all; this is the id its kind has elsewhere. */
const pauseId = 65535;
/** The pause takes the smallest share there is. */
const pauseCpuShares = 2;

/**
 * The spec of a sandbox's init: the built-in pause, without capabilities, on a read-only rootfs, in
 * the namespaces that the pod's containers join. Sysctls are set here, since they belong to those.
 */
export async function buildSandboxSpec(
  input: SandboxSpecInput,
  services: SpecServices,
): Promise<OciSpec> {
  const { config, handler, host, cri } = input;
  const security = config.linux?.securityContext ?? null;
  const options = security?.namespaceOptions;
  const shared = hostNamespaces(options);
  const mappings = userMappings(options?.usernsOptions, input.features);
  if (options?.cgroupnsOptions) {
    throw invalid(
      "linux.security_context.namespace_options.cgroupns_options",
      "is for containers, not for sandboxes",
    );
  }
  checkIdentity(input, shared);
  checkHostname(config, host.hostname);
  if (mappings !== undefined) checkMountable(shared);
  checkSelinux(security?.selinuxOptions ?? null, host);

  const spec = await startingSpec(handler.baseRuntimeSpec);
  spec.root = { path: input.pauseRootfs, readonly: true };
  spec.process.args = ["/pause"];
  spec.process.user = pauseUser(security);
  spec.process.env = [];
  spec.process.capabilities = capabilitySets([]);
  spec.process.noNewPrivileges = true;
  const score = clampOomScoreAdj(BigInt(sandboxOomScoreAdj), host);
  spec.process.oomScoreAdj = heededOomScore(score, handler);
  const hostname = config.hostname;
  if (hostname !== "" && !shared.network) spec.hostname = hostname;
  spec.mounts = sandboxMounts(spec.mounts, sharedMemoryMount(input.files, shared.ipc));
  spec.annotations = {
    ...spec.annotations,
    ...sandboxAnnotations(input.id, config, handler),
    ...podImageAnnotation(cri.sandboxImage),
  };

  const { linux } = spec;
  linux.namespaces = sandboxNamespaces(shared, input.netnsPath, mappings !== undefined);
  linux.cgroupsPath = cgroupsPath(
    config.linux?.cgroupParent ?? "",
    input.id,
    handler.systemdCgroup,
  );
  linux.resources = { ...linux.resources, cpu: { shares: pauseCpuShares } };
  linux.maskedPaths = [...defaultMaskedPaths];
  linux.readonlyPaths = [...defaultReadonlyPaths];
  if (mappings !== undefined) {
    linux.uidMappings = mappings.uids;
    linux.gidMappings = mappings.gids;
  }
  const sysctl = sandboxSysctls(
    config.linux?.sysctls ?? {},
    {
      hostNetwork: shared.network,
      hostIpc: shared.ipc,
      userNamespace: mappings !== undefined,
    },
    cri,
  );
  if (Object.keys(sysctl).length > 0) linux.sysctl = sysctl;
  await confine(spec, { security, capabilities: [] }, input, services);
  return spec;
}

/** Only what runc needs to set a process up: every mount is paid by the start of each pod. */
function sandboxMounts(defaults: readonly OciMount[], shm: OciMount[]): OciMount[] {
  const needed = new Set(["/proc", "/dev"]);
  return [...defaults.filter(({ destination }) => needed.has(destination)), ...shm];
}

function pauseUser(security: LinuxSandboxSecurityContext | null): OciSpec["process"]["user"] {
  const uid = idText(security?.runAsUser?.value, "run_as_user");
  const gid = idText(security?.runAsGroup?.value, "run_as_group");
  if (uid === "" && gid !== "") {
    throw invalid("linux.security_context.run_as_group", `group ${gid} is given without a user`);
  }
  const primary = gid !== "" ? Number(gid) : uid === "" ? pauseId : 0;
  return {
    uid: uid === "" ? pauseId : Number(uid),
    gid: primary,
    additionalGids: [...new Set([...requestedGroups(security), primary])].sort((a, b) => a - b),
  };
}

/** The kernel lets only who owns the namespace behind them mount /proc and /dev/mqueue. */
function checkMountable(shared: HostNamespaces): void {
  for (const name of ["pid", "ipc"] as const) {
    if (!shared[name]) continue;
    throw invalid(
      `linux.security_context.namespace_options.${name}`,
      "NODE cannot be had together with a user namespace",
    );
  }
}

function checkIdentity({ config, netnsPath }: SandboxSpecInput, shared: HostNamespaces): void {
  if (!config.metadata?.name) throw invalid("metadata.name", "is empty");
  if (shared.network !== (netnsPath === "")) {
    throw invalid(
      "linux.security_context.namespace_options.network",
      shared.network ? "NODE has no namespace to join" : "POD needs a network namespace",
    );
  }
}
