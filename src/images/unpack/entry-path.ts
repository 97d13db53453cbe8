// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";

const whiteoutPrefix = ".wh.";
/** Files of the old aufs driver have names that begin so. All but the opaque mark are of no use to others. */
const metaPrefix = ".wh..wh.";
const opaqueName = ".wh..wh..opq";
/** Where aufs keeps files with several names, under one more: the others are hard links to that. */
export const plinkFolder = ".wh..wh.plnk";

/** What a member's name stands for, below the layer's root. */
export type EntryPath =
  /** The root itself: "./". */
  | { readonly kind: "root" }
  | { readonly kind: "plain"; readonly parent: readonly string[]; readonly base: string }
  /** `base` of the layers below is deleted. */
  | { readonly kind: "whiteout"; readonly parent: readonly string[]; readonly base: string }
  /** Everything the layers below have in the folder is deleted. */
  | { readonly kind: "opaque"; readonly folder: readonly string[] }
  | { readonly kind: "ignored" };

/** Reads a member's name. INVALID_ARGUMENT for names that abuse whiteouts, and as `cleanPath`. */
export function entryPath(name: string): EntryPath {
  const parts = cleanPath(name);
  const base = parts.at(-1);
  if (base === undefined) return { kind: "root" };
  const parent = parts.slice(0, -1);
  if (parent.some((part) => part.startsWith(whiteoutPrefix))) {
    if (parent.some((part) => part.startsWith(metaPrefix))) return { kind: "ignored" };
    throw fault("INVALID_ARGUMENT", `layer has a file below a whiteout: ${quotedName(name)}`);
  }
  if (!base.startsWith(whiteoutPrefix)) return { kind: "plain", parent, base };
  if (base === opaqueName) return { kind: "opaque", folder: parent };
  if (base.startsWith(metaPrefix)) return { kind: "ignored" };
  const deleted = base.slice(whiteoutPrefix.length);
  if (deleted === "" || deleted === "." || deleted === "..") {
    throw fault("INVALID_ARGUMENT", `layer has a hostile whiteout: ${quotedName(name)}`);
  }
  return { kind: "whiteout", parent, base: deleted };
}

/** The name of a file in aufs' folder of those with several names; undefined for other members. */
export function plinkName(name: string): string | undefined {
  const [folder, base, ...more] = cleanPath(name);
  return folder === plinkFolder && more.length === 0 ? base : undefined;
}

/** How much of a name a message shows: it can be a MiB long. */
const shownBytes = 200;

/** A name for a message, shortened. */
export function quotedName(name: string): string {
  const shown = Buffer.from(name.slice(0, shownBytes), "latin1").toString("utf8");
  return name.length > shownBytes ? `"${shown}…"` : `"${shown}"`;
}

/**
 * The parts of a name below the root: absolute names begin there too, "." and doubled slashes vanish, ".." goes up
 * inside it. Above the root is the root, as for the kernel, and as in containerd. INVALID_ARGUMENT for names that no system call takes (NUL, too long).
 */
export function cleanPath(name: string): string[] {
  if (name.includes("\0")) throw fault("INVALID_ARGUMENT", "layer has a name with NUL");
  const parts: string[] = [];
  let bytes = 0;
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") {
      parts.push(part);
      bytes += part.length + 1;
      continue;
    }
    const left = parts.pop();
    if (left !== undefined) bytes -= left.length + 1;
  }
  // Checked before a folder is made for any of them.
  if (bytes > maxPathBytes || parts.some((part) => part.length > maxNameBytes)) throw tooLong(name);
  return parts;
}

/**
 * The parts of a hard link's target, where ".." is yet to be followed: behind a symbolic link it leads elsewhere than beside it.
 * INVALID_ARGUMENT as `cleanPath`, and for a target that is a folder in any case.
 */
export function linkParts(target: string): string[] {
  const parts = target.split("/").filter((part) => part !== "" && part !== ".");
  const bytes = parts.reduce((sum, part) => sum + part.length + 1, 0);
  if (target.includes("\0")) throw fault("INVALID_ARGUMENT", "layer has a name with NUL");
  if (bytes > maxPathBytes || parts.some((part) => part.length > maxNameBytes))
    throw tooLong(target);
  if (parts.length > 0 && parts.at(-1) !== "..") return parts;
  throw fault("INVALID_ARGUMENT", `layer has a hard link to a folder: ${quotedName(target)}`);
}

/** PATH_MAX without the terminator, and NAME_MAX: what the kernel takes in a call. */
export const maxPathBytes = 4095;
export const maxNameBytes = 255;

export function tooLong(name: string): Error {
  return fault(
    "INVALID_ARGUMENT",
    `layer has a name of ${name.length} bytes, which is too long: ${quotedName(name)}`,
  );
}
