// SPDX-License-Identifier: Apache-2.0
import type { Stats } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { invalid } from "../../base/invalid-field.ts";
import type { Device } from "../../gen/cri.gen.ts";
import type { OciDevice, OciDeviceRule } from "../../oci/spec.ts";

/** Folders of /dev that hold no devices of the host's, or another's instances of them. */
const skippedFolders = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"]);

export interface DeviceGrant {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
}

/** The request's devices. A folder stands for every device below it. */
export async function requestedDevices(requested: readonly Device[]): Promise<DeviceGrant> {
  const devices: OciDevice[] = [];
  const rules: OciDeviceRule[] = [];
  for (const [index, device] of requested.entries()) {
    const field = `devices[${index}]`;
    const access = permissions(device.permissions, field);
    for (const found of await expand(device, field)) {
      devices.push(found);
      rules.push(allowRule(found, access));
    }
  }
  return { devices, rules };
}

/** Every device of the host's /dev, for privileged containers. */
export async function hostDevices(): Promise<OciDevice[]> {
  return devicesBelow("/dev", "/dev");
}

/** One device node of the host as the spec describes it; undefined when the path is no device. */
export async function deviceAt(hostPath: string, at: string): Promise<OciDevice | undefined> {
  return describe(await stat(hostPath), at);
}

export function allowRule(device: OciDevice, access: string): OciDeviceRule {
  const rule: OciDeviceRule = { allow: true, type: device.type, access };
  if (device.major !== undefined) rule.major = device.major;
  if (device.minor !== undefined) rule.minor = device.minor;
  return rule;
}

async function expand(device: Device, field: string): Promise<OciDevice[]> {
  const { hostPath } = device;
  if (!hostPath.startsWith("/")) {
    throw invalid(`${field}.host_path`, `"${hostPath}" is not an absolute path`);
  }
  const containerPath = device.containerPath === "" ? hostPath : device.containerPath;
  if (!containerPath.startsWith("/")) {
    throw invalid(`${field}.container_path`, `"${containerPath}" is not an absolute path`);
  }
  try {
    const resolved = await realpath(hostPath);
    if ((await stat(resolved)).isDirectory()) return await devicesBelow(resolved, containerPath);
    const found = await deviceAt(resolved, containerPath);
    if (found !== undefined) return [found];
  } catch (error) {
    const problem = errnoOf(error) ?? String(error);
    throw invalid(`${field}.host_path`, `cannot use "${hostPath}": ${problem}`, error);
  }
  throw invalid(`${field}.host_path`, `"${hostPath}" is neither a device nor a directory`);
}

async function devicesBelow(folder: string, at: string): Promise<OciDevice[]> {
  const found: OciDevice[] = [];
  for (const entry of (await readdir(folder, { withFileTypes: true })).toSorted(byName)) {
    const hostPath = path.posix.join(folder, entry.name);
    const inside = path.posix.join(at, entry.name);
    if (entry.isDirectory()) {
      if (!skippedFolders.has(entry.name)) found.push(...(await devicesBelow(hostPath, inside)));
      continue;
    }
    // /dev/console is the container's own terminal.
    if (hostPath === "/dev/console") continue;
    const device = await statDevice(hostPath, inside);
    if (device !== undefined) found.push(device);
  }
  return found;
}

/** A node that goes away while /dev is walked is no error. */
async function statDevice(hostPath: string, at: string): Promise<OciDevice | undefined> {
  try {
    return describe(await lstat(hostPath), at);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function describe(stats: Stats, at: string): OciDevice | undefined {
  const type = stats.isCharacterDevice() ? "c" : stats.isBlockDevice() ? "b" : undefined;
  if (type === undefined) return undefined;
  const { major, minor } = deviceNumbers(stats.rdev);
  const { uid, gid } = stats;
  return { path: at, type, major, minor, fileMode: stats.mode & 0o7777, uid, gid };
}

/** Splits st_rdev as the C library packs it: 12 low bits of major at bit 8, minor around them. */
export function deviceNumbers(rdev: number): { readonly major: number; readonly minor: number } {
  const packed = BigInt(rdev);
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & 0xfffff000n);
  const minor = (packed & 0xffn) | ((packed >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

function permissions(text: string, field: string): string {
  if (text === "") return "rwm";
  if (!/^[rwm]{1,3}$/.test(text) || new Set(text).size !== text.length) {
    throw invalid(`${field}.permissions`, `"${text}" is not made of r, w and m`);
  }
  return text;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
