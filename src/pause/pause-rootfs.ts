// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { errnoOf, fault } from "../base/errors.ts";
import { readBounded } from "../base/read-bounded.ts";

export interface PauseRootfsOptions {
  /** The pause binary, as `pauseBinaryPath` names it. */
  readonly binary: string;
  /** The rootfs goes to `<sha256>/rootfs` in it. */
  readonly folder: string;
}

export interface PauseRootfs {
  /** Absolute path of the rootfs: /pause and the mount points that a sandbox needs. Use it read-only. */
  readonly path: string;
  /** sha256 of the binary, for the built-in image's record. */
  readonly digest: `sha256:${string}`;
  readonly sizeBytes: bigint;
}

const folders = ["dev", "etc", "proc", "run", "sys", "tmp"];
const files = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/**
 * Lays the built-in sandbox image out on disk, once for each version of the binary. Idempotent, and
 * safe when two do it at once: a folder is filled under another name and then renamed.
 * FAILED_PRECONDITION when the binary was not built.
 */
export async function preparePauseRootfs(options: PauseRootfsOptions): Promise<PauseRootfs> {
  const bytes = await readBinary(options.binary);
  const sha = createHash("sha256").update(bytes).digest("hex");
  const home = path.join(options.folder, sha);
  const rootfs = path.join(home, "rootfs");
  if (!(await isComplete(rootfs, bytes))) {
    const fresh = `${home}.new-${process.pid}-${performance.now()}`;
    await fill(path.join(fresh, "rootfs"), bytes);
    await replace(home, fresh, async () => isComplete(rootfs, bytes));
  }
  return { path: rootfs, digest: `sha256:${sha}`, sizeBytes: BigInt(bytes.byteLength) };
}

async function readBinary(binary: string): Promise<Buffer> {
  try {
    return await readFile(binary);
  } catch (cause) {
    const why =
      errnoOf(cause) === "ENOENT" ? "it was not built: run scripts/setup.sh" : String(cause);
    throw fault("FAILED_PRECONDITION", `cannot read the sandbox binary ${binary}: ${why}`, {
      cause,
    });
  }
}

async function isComplete(rootfs: string, bytes: Buffer): Promise<boolean> {
  try {
    const binary = path.join(rootfs, "pause");
    const { mode } = await stat(binary);
    for (const name of [...folders, ...files]) await stat(path.join(rootfs, name));
    return (mode & 0o777) === 0o755 && bytes.equals(await readBounded(binary, bytes.byteLength));
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP", undefined].includes(errnoOf(error))) return false;
    throw error;
  }
}

/** Modes are set after the fact, because the process's umask cuts those of mkdir and writeFile. */
async function fill(rootfs: string, bytes: Buffer): Promise<void> {
  await mkdir(rootfs, { recursive: true, mode: 0o700 });
  await chmod(path.dirname(rootfs), 0o755);
  await chmod(rootfs, 0o755);
  for (const name of folders) {
    await mkdir(path.join(rootfs, name));
    await chmod(path.join(rootfs, name), name === "tmp" ? 0o1777 : 0o755);
  }
  for (const name of files) await writeFile(path.join(rootfs, name), "");
  for (const name of files) await chmod(path.join(rootfs, name), 0o644);
  await writeFile(path.join(rootfs, "pause"), bytes);
  await chmod(path.join(rootfs, "pause"), 0o755);
}

async function replace(home: string, fresh: string, isDone: () => Promise<boolean>): Promise<void> {
  try {
    await rename(fresh, home);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(errnoOf(error) ?? "")) throw error;
    if (await isDone()) {
      await rm(fresh, { recursive: true });
      return;
    }
    // A damaged one is in the way: move it aside first, so that the name is never half there.
    const aside = `${fresh}.old`;
    await rename(home, aside);
    await rename(fresh, home);
    await rm(aside, { recursive: true });
  }
}
