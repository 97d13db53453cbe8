// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../../../base/errors.ts";
import type { ContainerConfig } from "../../../gen/cri.gen.ts";
import type { OciDevice, OciHook, OciSpec } from "../../../runtime/oci/spec.ts";
import { allowRule, deviceAt } from "../devices.ts";
import { Environment } from "../env.ts";
import { invalid } from "../invalid.ts";
import { CdiProblem, CdiRegistry } from "./cdi-registry.ts";
import { type CdiEdits, type CdiSpec } from "./cdi-spec.ts";

const annotationPrefix = "cdi.k8s.io/";
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][\w.:-]*$/;

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

/** Applies the devices to a spec. Unresolvable names are INVALID_ARGUMENT and list why. */
export async function applyCdiDevices(
  spec: OciSpec,
  names: readonly string[],
  folders?: readonly string[],
): Promise<void> {
  if (names.length === 0) return;
  const registry = await CdiRegistry.read(folders);
  try {
    for (const edits of registry.resolve(names)) await applyEdits(spec, edits);
  } catch (error) {
    if (error instanceof CdiProblem) throw invalid("CDI_devices", error.message, error);
    throw error;
  }
}

async function applyEdits(spec: OciSpec, edits: CdiEdits): Promise<void> {
  const env = new Environment(spec.process.env);
  for (const entry of edits.env ?? []) env.add(entry);
  spec.process.env = env.toArray();
  for (const node of edits.deviceNodes ?? []) await addDevice(spec, node);
  for (const { hostPath, containerPath, options, type } of edits.mounts ?? []) {
    spec.mounts = spec.mounts.filter(({ destination }) => destination !== containerPath);
    spec.mounts.push({
      destination: containerPath,
      source: hostPath,
      type: type ?? "bind",
      options: options ?? ["rbind", "rprivate"],
    });
  }
  for (const { hookName, path, args, env: hookEnv, timeout } of edits.hooks ?? []) {
    const hook: OciHook = { path };
    if (args !== undefined) hook.args = args;
    if (hookEnv !== undefined) hook.env = hookEnv;
    if (timeout !== undefined) hook.timeout = timeout;
    spec.hooks = { ...spec.hooks, [hookName]: [...(spec.hooks?.[hookName] ?? []), hook] };
  }
  if (edits.intelRdt !== undefined) {
    const given = Object.entries(edits.intelRdt).filter(([, value]) => value !== undefined);
    spec.linux.intelRdt = Object.fromEntries(given);
  }
  const gids = new Set([
    ...(spec.process.user.additionalGids ?? []),
    ...(edits.additionalGids ?? []),
  ]);
  if (gids.size > 0) spec.process.user.additionalGids = [...gids];
}

type CdiNode = NonNullable<NonNullable<CdiSpec["containerEdits"]>["deviceNodes"]>[number];

/** What the file leaves open is taken from the host's node. */
async function addDevice(spec: OciSpec, node: CdiNode): Promise<void> {
  const device = await completeDevice(node);
  const others = (spec.linux.devices ?? []).filter(({ path }) => path !== device.path);
  spec.linux.devices = [...others, device];
  if (device.type !== "b" && device.type !== "c") return;
  const rules = spec.linux.resources.devices ?? [];
  const access =
    node.permissions === undefined || node.permissions === "" ? "rwm" : node.permissions;
  spec.linux.resources.devices = [...rules, allowRule(device, access)];
}

async function completeDevice(node: CdiNode): Promise<OciDevice> {
  const { path, hostPath, type, major, minor, fileMode, uid, gid } = node;
  const isComplete = type === "p" || (type !== undefined && (major ?? 0) > 0);
  const found = isComplete ? undefined : await hostDevice(hostPath ?? path);
  const device: OciDevice = { ...found, path, type: type ?? found?.type ?? "c" };
  if (major !== undefined) device.major = major;
  if (minor !== undefined) device.minor = minor;
  if (fileMode !== undefined) device.fileMode = fileMode;
  if (uid !== undefined) device.uid = uid;
  if (gid !== undefined) device.gid = gid;
  return device;
}

async function hostDevice(hostPath: string): Promise<OciDevice> {
  try {
    const device = await deviceAt(hostPath, hostPath);
    if (device !== undefined) return device;
  } catch (error) {
    throw new CdiProblem(`device node ${hostPath}: ${errnoOf(error) ?? String(error)}`);
  }
  throw new CdiProblem(`device node ${hostPath} is no device`);
}

function checked(name: string, field: string): string {
  if (!namePattern.test(name)) {
    throw invalid(field, `"${name}" is no device name such as vendor.com/class=name`);
  }
  return name;
}
