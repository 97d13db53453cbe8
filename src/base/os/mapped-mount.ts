// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, rmdir } from "node:fs/promises";
import path from "node:path";
import { fault } from "../errors.ts";
import { formatMappings, type IdMappings, parseMappings } from "./id-mapping.ts";
import { bindIdmapped } from "./idmapped-mount.ts";
import { type MountSpec, mountSpec, unmount } from "./mount.ts";
import { holdUserNamespace } from "./user-namespace.ts";

export interface MappedMountOptions {
  /** The pause program, which holds the user namespace that a mapping is made from. */
  readonly program: string;
  /** A folder for temporary mount points; made when missing. */
  readonly scratchFolder: string;
}

/** The mount options that ask for mapped owners, as containerd's snapshotters write them. */
export function mappingOptions({ uids, gids }: IdMappings): readonly string[] {
  return [`uidmap=${formatMappings(uids)}`, `gidmap=${formatMappings(gids)}`];
}

/** The values of those options, each as parseMappings reads it; undefined for a mount without them. */
export function mappingOf(
  mount: Pick<MountSpec, "options">,
): { readonly uidmap: string; readonly gidmap: string } | undefined {
  if (!isMapped(mount)) return undefined;
  return { uidmap: valueOf(mount, "uidmap="), gidmap: valueOf(mount, "gidmap=") };
}

export function isMapped(mount: Pick<MountSpec, "options">): boolean {
  return mount.options.some(isMapping);
}

/** The mount without its mapping, with owners as on the disk. */
export function withoutMapping<M extends MountSpec>(mount: M): M {
  return { ...mount, options: mount.options.filter((option) => !isMapping(option)) };
}

/**
 * Mounts below `root` a bind or an overlay that asks for mapped owners. The layers below an overlay
 * are mapped; its upper folder has the mapped ids on the disk. Answers after the mount. Throws
 * SystemError, or FAILED_PRECONDITION where the file system cannot be mapped.
 */
export async function mountMapped(
  mount: MountSpec,
  root: string,
  { program, scratchFolder }: MappedMountOptions,
): Promise<void> {
  const ids = mappingOf(mount);
  const uids = parseMappings(ids?.uidmap ?? "");
  const gids = parseMappings(ids?.gidmap ?? "");
  const plain = withoutMapping(mount);
  await using held = await holdUserNamespace({ program, uids, gids, network: false });
  await mkdir(scratchFolder, { recursive: true, mode: 0o700 });
  const scratch = await mkdtemp(path.join(scratchFolder, "layers-"));
  const namespace = openSync(`/proc/${held.pid}/ns/user`, "r");
  try {
    // From here to the end nothing waits, so no other code ever sees the mount in the scratch folder.
    if (mount.type === "overlay") mountOverlay(plain, root, namespace, scratch);
    else mountBind(plain, root, namespace);
  } finally {
    closeSync(namespace);
    await rmdir(scratch);
  }
}

function mountBind(mount: MountSpec, root: string, userNamespace: number): void {
  const { options, source, target = "" } = mount;
  bind({
    source,
    target: target === "" ? root : path.join(root, target),
    userNamespace,
    readOnly: options.includes("ro"),
    recursive: options.includes("rbind"),
  });
}

/** One mapped mount of the folder that holds all layers is enough: overlayfs takes folders below it. */
function mountOverlay(
  mount: MountSpec,
  root: string,
  userNamespace: number,
  scratch: string,
): void {
  const lowers = valueOf(mount, "lowerdir=").split(":");
  const base = commonFolder(lowers);
  bind({ source: base, target: scratch, userNamespace, readOnly: true, recursive: false });
  try {
    const moved = lowers.map((lower) => path.join(scratch, path.relative(base, lower)));
    const options = mount.options.map((option) =>
      option.startsWith("lowerdir=") ? `lowerdir=${moved.join(":")}` : option,
    );
    mountSpec({ ...mount, options }, root);
  } finally {
    unmount(scratch, { lazy: true });
  }
}

function bind(request: Parameters<typeof bindIdmapped>[0]): void {
  try {
    bindIdmapped(request);
  } catch (cause) {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot map the owners of files in "${request.source}": ${String(cause)}`,
      { cause },
    );
  }
}

/** The deepest folder that is above all these paths. */
function commonFolder(paths: readonly string[]): string {
  let base = path.dirname(paths[0] ?? "/");
  while (base !== "/" && !paths.every((it) => it.startsWith(`${base}/`))) base = path.dirname(base);
  return base;
}

function isMapping(option: string): boolean {
  return option.startsWith("uidmap=") || option.startsWith("gidmap=");
}

function valueOf({ options }: Pick<MountSpec, "options">, key: string): string {
  const found = options.find((option) => option.startsWith(key));
  if (found === undefined) {
    throw fault("INVALID_ARGUMENT", `a mount lacks the option "${key.slice(0, -1)}"`);
  }
  return found.slice(key.length);
}
