// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants } from "node:fs";
import path from "node:path";
import { fault } from "../errors.ts";
import { openAt, openPath } from "./at.ts";
import { checked, lastError } from "./errno.ts";
import { FileAttribute, factsOf } from "./file-facts.ts";
import { libc } from "./libc.ts";
import { MountFlag, mountOptions, propagationFlags } from "./mount-options.ts";

const cMount = libc(
  "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
);
const cUmount = libc("int umount2(const char *target, int flags)");
const cChdir = libc("int chdir(const char *path)");

const detach = 2;
const noFollow = 8;
/** mount(2) copies one page of data; the last byte is the terminator. */
const maxDataBytes = 4095;

export interface MountRequest {
  readonly source: string;
  readonly target: string;
  /** File system type; "" for bind mounts and propagation changes. */
  readonly type: string;
  readonly flags: number;
  readonly data: string;
}

/** A containerd mount: what snapshotters answer and shims take. */
export interface MountSpec {
  readonly type: string;
  readonly source: string;
  /** Path below the root that is being assembled; usually "". */
  readonly target?: string;
  readonly options: readonly string[];
}

/**
 * One mount, with all that mount(8) would do for it: propagation in a call of its own, and a remount for a bind that
 * is to be read-only (the kernel ignores other flags on the first bind). Blocks for 0.1 to 0.5 ms. Throws
 * SystemError.
 */
export function mount(request: MountRequest): void {
  const { flags, target } = request;
  const recursive = flags & MountFlag.recursive;
  const propagation = flags & propagationFlags;
  const isBind = (flags & MountFlag.bind) !== 0;
  const isRemount = (flags & MountFlag.remount) !== 0;
  const plain = flags & ~propagationFlags & ~(isBind ? 0 : MountFlag.recursive);

  if (plain !== 0 || request.type !== "" || propagation === 0) mountOnce(request, plain);
  if (propagation !== 0) {
    checked(cMount("none", target, null, propagation | recursive, null), "mount", target);
  }
  const restricting = plain & ~(MountFlag.bind | MountFlag.recursive | MountFlag.silent);
  if (isBind && !isRemount && restricting !== 0) {
    const again = (plain & ~MountFlag.recursive) | MountFlag.remount;
    checked(cMount(request.source, target, null, again, null), "mount", target);
  }
}

/** Mounts a containerd-style mount below `root`. */
export function mountSpec(spec: MountSpec, root: string): void {
  const { flags, data } = mountOptions(spec.options);
  const isBind = (flags & MountFlag.bind) !== 0;
  const target =
    spec.target === undefined || spec.target === "" ? root : path.join(root, spec.target);
  mount({ source: spec.source, target, type: isBind ? "" : spec.type, flags, data });
}

/**
 * Unmounts the top mount at `target`; false when nothing is mounted there (or it does not exist).
 * A Buffer is a path of any bytes. `lazy` detaches a busy mount. Symbolic links are not followed. Throws SystemError (EBUSY, …).
 */
export function unmount(
  target: string | Buffer,
  options: { readonly lazy?: boolean } = {},
): boolean {
  const terminated = typeof target === "string" ? target : Buffer.concat([target, Buffer.alloc(1)]);
  if (cUmount(terminated, noFollow | (options.lazy === true ? detach : 0)) === 0) return true;
  const error = lastError("umount2", target.toString());
  if (error.code === "EINVAL" || error.code === "ENOENT") return false;
  throw error;
}

/**
 * Detaches what is mounted on a name in an open folder; false when nothing is. All below it is made private first:
 * otherwise detaching a shared bind of the host's root would detach the host's own mounts as well. Throws
 * SystemError.
 */
export function detachAt(folder: number, name: Buffer): boolean {
  const top = openAt(folder, name, openPath | constants.O_NOFOLLOW);
  try {
    if ((factsOf(top).attributes & FileAttribute.mountRoot) === 0) return false;
    const mounted = `/proc/self/fd/${top}`;
    const flags = MountFlag.private | MountFlag.recursive;
    checked(cMount("none", mounted, null, flags, null), "mount", mounted);
  } finally {
    closeSync(top);
  }
  const target = Buffer.concat([Buffer.from(`/proc/self/fd/${folder}/`), name, Buffer.alloc(1)]);
  if (cUmount(target, noFollow | detach) === 0) return true;
  const error = lastError("umount2", name.toString());
  if (error.code === "EINVAL" || error.code === "ENOENT") return false;
  throw error;
}

function mountOnce(request: MountRequest, flags: number): void {
  const { source, target } = request;
  const type = request.type === "" ? null : request.type;
  if (Buffer.byteLength(request.data) <= maxDataBytes) {
    const data = request.data === "" ? null : request.data;
    checked(cMount(source, target, type, flags, data), "mount", target);
    return;
  }
  const short = request.type === "overlay" ? relativeLowerDirs(request.data) : undefined;
  if (short === undefined || Buffer.byteLength(short.data) > maxDataBytes) {
    throw fault("INVALID_ARGUMENT", `cannot mount "${target}": options are longer than a page`);
  }
  mountFrom(short.base, { ...request, data: short.data }, flags);
}

// The working directory belongs to the whole process, so this must stay synchronous, and nothing
// in the daemon may use a relative path (nothing does).
function mountFrom(base: string, request: MountRequest, flags: number): void {
  const before = process.cwd();
  checked(cChdir(base), "chdir", base);
  try {
    checked(
      cMount(
        request.source,
        path.resolve(before, request.target),
        request.type,
        flags,
        request.data,
      ),
      "mount",
      request.target,
    );
  } finally {
    cChdir(before);
  }
}

/** Rewrites an overlay's lowerdir relative to the folder that all layers share. Exported for tests. */
export function relativeLowerDirs(data: string): { base: string; data: string } | undefined {
  const options = data.split(",");
  const at = options.findIndex((option) => option.startsWith("lowerdir="));
  const lowers = options[at]?.slice("lowerdir=".length).split(":") ?? [];
  const first = lowers[0];
  if (first === undefined || !lowers.every((lower) => lower.startsWith("/"))) return undefined;
  let base = path.dirname(first);
  while (base !== "/" && !lowers.every((lower) => lower.startsWith(`${base}/`))) {
    base = path.dirname(base);
  }
  if (base === "/") return undefined;
  options[at] = `lowerdir=${lowers.map((lower) => path.relative(base, lower)).join(":")}`;
  return { base, data: options.join(",") };
}
