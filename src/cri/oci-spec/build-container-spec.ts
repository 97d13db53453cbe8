// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { LinuxContainerSecurityContext } from "../../gen/cri.gen.ts";
import { startingSpec } from "../../oci/base-spec.ts";
import { capabilitySets } from "../../oci/capabilities.ts";
import type { OciSpec } from "../../oci/spec.ts";
import { resolveUser } from "../../oci/user.ts";
import { addContainerMounts } from "./add-mounts.ts";
import { containerAnnotations } from "./annotations.ts";
import { processArgs, workingDirectory } from "./args.ts";
import { resolveCapabilities } from "./capabilities.ts";
import { applyCdiDevices, requestedCdiDevices } from "./cdi/cdi-devices.ts";
import { cgroupView } from "./cgroup-view.ts";
import { cgroupsPath } from "./cgroups-path.ts";
import { blockIo } from "./classes/blockio.ts";
import { rdtGroup } from "./classes/rdt.ts";
import { confine } from "./confine.ts";
import { heededOomScore } from "./crun.ts";
import { hostDevices, requestedDevices } from "./devices.ts";
import { addRequestedEnv, defaultPath, Environment } from "./env.ts";
import { containerNamespaces } from "./namespaces.ts";
import { clampOomScoreAdj } from "./oom-score.ts";
import { podHostname } from "./pod-hostname.ts";
import type { BuiltContainerSpec, ContainerSpecInput, SpecServices } from "./ports.ts";
import { toOciResources } from "./resources.ts";
import { checkSelinux } from "./selinux.ts";
import { checkSameUserNamespace, type UserMappings, userMappings } from "./user-namespace.ts";

/**
 * The spec of a container. It starts from the base spec and applies, later wins: command line,
 * environment, namespaces, mounts, devices, capabilities, resources, annotations, user, profiles, and
 * last CDI, which sees the rest. Missing host paths of mounts are made, and image volumes filled; nothing
 * else on the host changes.
 */
export async function buildContainerSpec(
  input: ContainerSpecInput,
  services: SpecServices,
): Promise<BuiltContainerSpec> {
  const { config, handler } = input;
  const security = config.linux?.securityContext ?? null;
  const privileged = security?.privileged === true;
  if (!config.metadata?.name) throw invalid("metadata.name", "is empty");
  if (privileged && input.sandbox.config.linux?.securityContext?.privileged !== true) {
    throw invalid("linux.security_context.privileged", "the sandbox is not privileged");
  }
  checkSelinux(security?.selinuxOptions ?? null, input.host);
  const cdiDevices = requestedCdiDevices(config);
  const mappings = userNamespace(input, security);
  const cgroups = await cgroupView(input, services);

  const spec = await startingSpec(handler.baseRuntimeSpec);
  const user = await resolveUser(security, input.image.config.user, input.rootfs, input);
  spec.root = { path: "rootfs", readonly: security?.readonlyRootfs === true };
  spec.annotations = {
    ...spec.annotations,
    ...containerAnnotations(
      {
        name: config.metadata.name,
        imageName: input.imageName,
        annotations: config.annotations,
      },
      input.sandbox.id,
      input.sandbox.config,
      handler,
    ),
  };
  setProcess(spec, input);
  spec.process.user = {
    ...spec.process.user,
    uid: user.uid,
    gid: user.gid,
    additionalGids: [...user.supplementalGroups],
  };
  const capabilities = setCapabilities(spec, security, input);
  setNamespaces(spec, input, { mappings, ownCgroups: cgroups.ownNamespace });
  setPaths(spec, security, privileged);
  setResources(spec, input);
  await setClasses(spec, input, services);
  await addContainerMounts(spec, input, { mappings, cgroups });
  await setDevices(spec, input, privileged);
  await confine(spec, { security, capabilities }, input, services);
  await applyCdiDevices(spec, cdiDevices, input.features);
  return { spec, user };
}

function setProcess(spec: OciSpec, input: ContainerSpecInput): void {
  const { config, handler, image, sandbox, host } = input;
  const { process } = spec;
  process.args = processArgs(config, image.config);
  process.cwd = workingDirectory(config.workingDir, image.config);
  process.terminal = config.tty;
  process.noNewPrivileges = config.linux?.securityContext?.noNewPrivs === true;
  const env = new Environment([defaultPath, ...process.env]);
  if (config.tty) env.set("TERM", "xterm");
  env.set("HOSTNAME", podHostname(sandbox.config, host.hostname));
  for (const entry of image.config.env) env.add(entry);
  addRequestedEnv(env, config.envs);
  process.env = env.toArray();
  const resources = config.linux?.resources;
  if (resources) {
    process.oomScoreAdj = heededOomScore(clampOomScoreAdj(resources.oomScoreAdj, host), handler);
  }
}

function setCapabilities(
  spec: OciSpec,
  security: LinuxContainerSecurityContext | null,
  { host }: ContainerSpecInput,
): readonly string[] {
  const initial = spec.process.capabilities?.bounding ?? [];
  const names =
    security?.privileged === true
      ? host.capabilities
      : resolveCapabilities(security?.capabilities ?? null, initial, host.capabilities);
  spec.process.capabilities = capabilitySets(names);
  return names;
}

function userNamespace(
  { sandbox, features }: ContainerSpecInput,
  security: LinuxContainerSecurityContext | null,
): UserMappings | undefined {
  const own = security?.namespaceOptions?.usernsOptions;
  const mappings = userMappings(own, features);
  const options = sandbox.config.linux?.securityContext?.namespaceOptions;
  checkSameUserNamespace(own, options?.usernsOptions);
  return mappings;
}

function setNamespaces(
  spec: OciSpec,
  { sandbox, config, targetPid }: ContainerSpecInput,
  { mappings, ownCgroups }: { mappings: UserMappings | undefined; ownCgroups: boolean },
): void {
  spec.linux.namespaces = containerNamespaces({
    sandboxPid: sandbox.pid,
    options: config.linux?.securityContext?.namespaceOptions,
    targetPid,
    userNamespace: mappings !== undefined,
    cgroupNamespace: ownCgroups,
  });
  if (mappings !== undefined) {
    spec.linux.uidMappings = mappings.uids;
    spec.linux.gidMappings = mappings.gids;
  }
}

/** Exactly what the request carries: it is the client that knows of procMount: Unmasked. */
function setPaths(
  spec: OciSpec,
  security: LinuxContainerSecurityContext | null,
  privileged: boolean,
): void {
  spec.linux.maskedPaths = privileged ? [] : [...(security?.maskedPaths ?? [])];
  spec.linux.readonlyPaths = privileged ? [] : [...(security?.readonlyPaths ?? [])];
}

function setResources(
  spec: OciSpec,
  { id, sandbox, config, handler, host, cri }: ContainerSpecInput,
): void {
  const { linux } = spec;
  linux.cgroupsPath = cgroupsPath(
    sandbox.config.linux?.cgroupParent ?? "",
    id,
    handler.systemdCgroup,
  );
  const resources = config.linux?.resources;
  if (!resources) return;
  linux.resources = { ...linux.resources, ...toOciResources(resources, host, cri) };
}

/** Shares of the machine's caches and disks. */
async function setClasses(
  spec: OciSpec,
  { sandbox, config, cri }: ContainerSpecInput,
  { rdt, blockio }: SpecServices,
): Promise<void> {
  const request = {
    container: config.metadata?.name ?? "",
    containerAnnotations: config.annotations,
    podAnnotations: sandbox.config.annotations,
  };
  const closID = await rdtGroup(request, rdt, { ignoreNotEnabled: cri.ignoreRdtNotEnabledErrors });
  if (closID !== undefined) spec.linux.intelRdt = { ...spec.linux.intelRdt, closID };
  const shares = await blockIo(request, blockio, {
    ignoreNotEnabled: cri.ignoreBlockioNotEnabledErrors,
  });
  if (shares !== undefined) spec.linux.resources.blockIO = shares;
}

async function setDevices(
  spec: OciSpec,
  { config, handler }: ContainerSpecInput,
  privileged: boolean,
): Promise<void> {
  const { linux } = spec;
  const allHost = privileged && !handler.privilegedWithoutHostDevices;
  const requested = await requestedDevices(config.devices);
  const devices = [...(linux.devices ?? []), ...(allHost ? await hostDevices() : [])];
  // What the request names wins over the host's node at the same path.
  const byPath = new Map([...devices, ...requested.devices].map((device) => [device.path, device]));
  if (byPath.size > 0) linux.devices = [...byPath.values()];
  linux.resources.devices = allHost
    ? [{ allow: true, access: "rwm" }]
    : [...(linux.resources.devices ?? []), ...requested.rules];
}
