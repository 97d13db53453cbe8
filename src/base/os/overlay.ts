// SPDX-License-Identifier: Apache-2.0
import type { Stats } from "node:fs";
import type { MountSpec } from "./mount.ts";

/** The folders of an overlay mount. */
export interface OverlayFolders {
  /** Undefined when it is read-only. */
  readonly upper: string | undefined;
  /** Top first. */
  readonly lowers: readonly string[];
}

/** Reads an overlay mount's options; undefined for a mount of another type. */
export function overlayFolders({
  type,
  options,
}: Pick<MountSpec, "type" | "options">): OverlayFolders | undefined {
  if (type !== "overlay") return undefined;
  const valueOf = (key: string): string | undefined =>
    options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1);
  return { upper: valueOf("upperdir"), lowers: valueOf("lowerdir")?.split(":") ?? [] };
}

/** The folder of a single writable bind mount, or undefined. */
export function bindSource({ type, source, options }: MountSpec): string | undefined {
  const isBind = type === "bind" || options.includes("bind") || options.includes("rbind");
  return isBind && !options.includes("ro") ? source : undefined;
}

/**
 * The same files read-only: an overlay's upper folder becomes the topmost lower one, so that it can be
 * mounted beside a running container's.
 */
export function readOnly<M extends MountSpec>(mount: M): M {
  const overlay = overlayFolders(mount);
  if (!overlay) {
    return { ...mount, options: [...mount.options.filter((option) => option !== "rw"), "ro"] };
  }
  const { upper, lowers } = overlay;
  const options = mount.options.filter((option) => !/^(upperdir|workdir|lowerdir)=/.test(option));
  const folders = upper === undefined ? lowers : [upper, ...lowers];
  return { ...mount, options: [...options, "ro", `lowerdir=${folders.join(":")}`] };
}

/** Overlayfs' mark in an upper layer: the name is gone, whatever the layers below have. */
export function isWhiteout(stat: Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}
