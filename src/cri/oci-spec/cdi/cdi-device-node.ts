// SPDX-License-Identifier: Apache-2.0
import type { Stats } from "node:fs";
import { lstat } from "node:fs/promises";
import { errnoOf } from "../../../base/errors.ts";
import type { OciDevice, OciSpec } from "../../../oci/spec.ts";
import { allowRule, deviceNumbers } from "../devices.ts";
import { CdiProblem } from "./cdi-registry.ts";
import type { CdiDeviceNode } from "./cdi-spec.ts";

/**
 * Adds a device node, in place of one at its path, and the rule that lets it be used. Throws CdiProblem, which names
 * the `source` of the node.
 */
export async function addDeviceNode(
  spec: OciSpec,
  node: CdiDeviceNode,
  source: string,
): Promise<void> {
  const device = await completeDevice(node, source);
  const { uid, gid } = spec.process.user;
  if (device.uid === undefined && uid > 0) device.uid = uid;
  if (device.gid === undefined && gid > 0) device.gid = gid;
  const others = (spec.linux.devices ?? []).filter(({ path }) => path !== device.path);
  spec.linux.devices = [...others, device];
  if (device.type !== "b" && device.type !== "c") return;
  const access = node.permissions === "none" ? "" : (node.permissions ?? "rwm");
  const rules = spec.linux.resources.devices ?? [];
  spec.linux.resources.devices = [...rules, allowRule(device, access)];
}

/** What the file leaves open is taken from the host's node, which must be there for that. */
async function completeDevice(node: CdiDeviceNode, source: string): Promise<OciDevice> {
  const { path, hostPath = path, type, major = 0, minor = 0, fileMode, uid, gid } = node;
  const isComplete = type === "p" || (type !== undefined && major !== 0);
  const found = await hostDevice(hostPath, isComplete, source);
  if (!isComplete && type !== undefined && type !== found?.type) {
    throw new CdiProblem(
      `${source}: deviceNodes: ${hostPath} is of type ${found?.type}, not ${type}`,
    );
  }
  const device: OciDevice = { path, type: type ?? found?.type ?? "c" };
  if (device.type !== "p") {
    const numbers = major === 0 && found !== undefined ? found : { major, minor };
    device.major = numbers.major;
    device.minor = numbers.minor;
  }
  const mode = fileMode ?? found?.fileMode;
  if (mode !== undefined) device.fileMode = mode;
  if (uid !== undefined) device.uid = uid;
  if (gid !== undefined) device.gid = gid;
  return device;
}

interface HostNode {
  readonly type: string;
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
}

async function hostDevice(
  hostPath: string,
  mayLack: boolean,
  source: string,
): Promise<HostNode | undefined> {
  let stats: Stats;
  try {
    stats = await lstat(hostPath);
  } catch (error) {
    if (mayLack) return undefined;
    throw new CdiProblem(`${source}: deviceNodes: ${hostPath}: ${errnoOf(error) ?? String(error)}`);
  }
  const type = stats.isCharacterDevice()
    ? "c"
    : stats.isBlockDevice()
      ? "b"
      : stats.isFIFO()
        ? "p"
        : undefined;
  if (type !== undefined) {
    return { type, ...deviceNumbers(stats.rdev), fileMode: stats.mode & 0o7777 };
  }
  if (mayLack) return undefined;
  throw new CdiProblem(`${source}: deviceNodes: ${hostPath} is no device`);
}
