// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { invalid, unsupported } from "../../../base/invalid-field.ts";
import type { ContainerConfig } from "../../../gen/cri.gen.ts";
import type { OciHook, OciMount, OciSpec } from "../../../oci/spec.ts";
import { Environment } from "../env.ts";
import type { RuntimeFeatures } from "../ports.ts";
import { addDeviceNode } from "./cdi-device-node.ts";
import { qualifiedNamePattern } from "./cdi-names.ts";
import { CdiProblem, CdiRegistry, type SourcedEdits } from "./cdi-registry.ts";
import type { CdiEdits } from "./cdi-spec.ts";

const annotationPrefix = "cdi.k8s.io/";

/** Device names the request asks for: the field first, then annotations `cdi.k8s.io/*`. */
export function requestedCdiDevices(
  config: Pick<ContainerConfig, "CDIDevices" | "annotations">,
): string[] {
  const names = config.CDIDevices.map(({ name }) => checked(name, "CDI_devices"));
  for (const [key, value] of Object.entries(config.annotations)) {
    if (!key.startsWith(annotationPrefix)) continue;
    for (const name of value.split(",")) names.push(checked(name, `annotations["${key}"]`));
  }
  return [...new Set(names)];
}

/**
 * Applies the devices to a spec. Unresolvable names are INVALID_ARGUMENT and list why; what the OCI
 * runtime would leave out without a word is FAILED_PRECONDITION. Errors name the device, its file and the field.
 */
export async function applyCdiDevices(
  spec: OciSpec,
  names: readonly string[],
  features: RuntimeFeatures,
  folders?: readonly string[],
): Promise<void> {
  if (names.length === 0) return;
  const registry = await CdiRegistry.read(folders);
  try {
    const edits = registry.resolve(names);
    for (const each of edits) await applyEdits(spec, each, features);
    addNetDevices(spec, edits, features);
    if (edits.some(({ edits: { mounts } }) => mounts !== undefined))
      spec.mounts = byDepth(spec.mounts);
  } catch (error) {
    if (error instanceof CdiProblem) throw invalid("CDI_devices", error.message, error);
    throw error;
  }
}

async function applyEdits(
  spec: OciSpec,
  { edits, source }: SourcedEdits,
  features: RuntimeFeatures,
): Promise<void> {
  const env = new Environment(spec.process.env);
  for (const entry of edits.env ?? []) env.add(entry);
  spec.process.env = env.toArray();
  for (const node of edits.deviceNodes ?? []) await addDeviceNode(spec, node, source);
  for (const mount of edits.mounts ?? []) addMount(spec, mount);
  for (const { hookName, path: file, args, env: hookEnv, timeout } of edits.hooks ?? []) {
    const hook: OciHook = { path: file };
    if (args !== undefined) hook.args = args;
    if (hookEnv !== undefined) hook.env = hookEnv;
    if (timeout !== undefined) hook.timeout = timeout;
    spec.hooks = { ...spec.hooks, [hookName]: [...(spec.hooks?.[hookName] ?? []), hook] };
  }
  if (edits.intelRdt !== undefined) setRdt(spec, edits.intelRdt, { features, source });
  // 0 stands for nobody: a vendor's tool that found no group.
  const given = (edits.additionalGids ?? []).filter((gid) => gid !== 0);
  const gids = new Set([...(spec.process.user.additionalGids ?? []), ...given]);
  if (gids.size > 0) spec.process.user.additionalGids = [...gids];
}

function addMount(spec: OciSpec, mount: NonNullable<CdiEdits["mounts"]>[number]): void {
  const { hostPath, containerPath, type = "bind" } = mount;
  const options = mount.options ?? (type === "bind" ? ["rbind", "rprivate"] : undefined);
  const added: OciMount = {
    destination: containerPath,
    source: hostPath,
    type,
    ...(options === undefined ? {} : { options }),
  };
  const mapped = isMapped(spec) ? mappedOption(added) : undefined;
  if (mapped !== undefined) added.options = [...(added.options ?? []), mapped];
  spec.mounts = spec.mounts.filter(({ destination }) => destination !== containerPath);
  spec.mounts.push(added);
}

/** With a user namespace what a vendor mounts must show its owners to the container's root. */
function isMapped({ linux }: OciSpec): boolean {
  return (
    (linux.uidMappings ?? []).length > 0 &&
    (linux.gidMappings ?? []).length > 0 &&
    linux.namespaces.some(({ type }) => type === "user")
  );
}

function mappedOption({ type, options = [] }: OciMount): string | undefined {
  if (options.includes("idmap") || options.includes("ridmap")) return undefined;
  const bind = options.findLast((option) => option === "bind" || option === "rbind");
  if (bind === "rbind") return "ridmap";
  return bind === "bind" || type === "bind" ? "idmap" : undefined;
}

function setRdt(
  spec: OciSpec,
  rdt: NonNullable<CdiEdits["intelRdt"]>,
  { features, source }: { features: RuntimeFeatures; source: string },
): void {
  for (const [field, isAsked, isKnown] of [
    ["schemata", rdt.schemata !== undefined, features.rdtSchemata],
    ["enableMonitoring", rdt.enableMonitoring === true, features.rdtMonitoring],
  ] as const) {
    if (!isAsked || isKnown) continue;
    throw unsupported("CDI_devices", `${source}: the runtime handler knows no intelRdt.${field}`);
  }
  const given = Object.entries(rdt).filter(([, value]) => value !== undefined);
  spec.linux.intelRdt = Object.fromEntries(given);
}

/** Interfaces of the host that move into the container's network namespace: each once, by either name. */
function addNetDevices(
  spec: OciSpec,
  given: readonly SourcedEdits[],
  features: RuntimeFeatures,
): void {
  const devices = given.flatMap(({ edits, source }) =>
    (edits.netDevices ?? []).map((device) => ({ ...device, source })),
  );
  const [first] = devices;
  if (first === undefined) return;
  const hindrance = !features.netDevices
    ? "the runtime handler cannot move netDevices"
    : spec.linux.namespaces.every(({ type }) => type !== "network")
      ? "with the node's network nothing is there to move netDevices to"
      : undefined;
  if (hindrance !== undefined) {
    const names = devices.map(({ hostInterfaceName }) => hostInterfaceName).join(", ");
    throw unsupported("CDI_devices", `${first.source}: ${hindrance} (${names})`);
  }
  for (const key of ["hostInterfaceName", "name"] as const) {
    const seen = new Map<string, string>();
    for (const device of devices) {
      const { [key]: value, source } = device;
      const other = seen.get(value);
      if (other !== undefined) {
        const both = other === source ? source : `${other} and ${source}`;
        throw new CdiProblem(`${both}: two netDevices with the ${key} "${value}"`);
      }
      seen.set(value, source);
    }
  }
  const added = devices.map(
    ({ hostInterfaceName, name }) => [hostInterfaceName, { name }] as const,
  );
  spec.linux.netDevices = { ...spec.linux.netDevices, ...Object.fromEntries(added) };
}

/** What lies deeper is mounted later, else in the order given. */
function byDepth(mounts: readonly OciMount[]): OciMount[] {
  const depth = ({ destination }: OciMount): number =>
    path.posix.join(destination, ".").replace(/\/$/, "").split("/").length;
  return mounts.toSorted((a, b) => depth(a) - depth(b));
}

function checked(name: string, field: string): string {
  if (!qualifiedNamePattern.test(name)) {
    throw invalid(field, `"${name}" is no device name such as vendor.com/class=name`);
  }
  return name;
}
