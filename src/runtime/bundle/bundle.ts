// SPDX-License-Identifier: Apache-2.0
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { cleanupDeadline } from "../../base/cancellable.ts";
import { errnoOf, fault } from "../../base/errors.ts";
import { makeFifo } from "../../base/os/fifo.ts";
import { unmount } from "../../base/os/mount.ts";
import { unmountBelow } from "../../base/os/mount-table.ts";
import { readBounded, readBoundedSync } from "../../base/read-bounded.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { mappedRootGid } from "./spec-text.ts";

/** More than a request may bring, several times. */
const maxFileBytes = 64 * 1024 * 1024;
const maxNoteBytes = 64 * 1024;

let removals = 0;

/**
 * A bundle: what a shim and an OCI runtime read of a task on disk.
 *
 *     <bundles>/NS/ID/     0700 (0710 when root is mapped)
 *       config.json        the OCI spec
 *       rootfs/            where the shim mounts the root file system
 *       work               → <work>/NS/ID
 *       log                FIFO, the shim's own log (only where a shim was started)
 *       shim-binary-path   which shim parents the task
 *       bootstrap.json     its address, protocol and API version
 *       sandbox            id of the sandbox, where there is one
 *     by the shim: options.json, runtime, init.pid, log.json, address (≤ 2.2), s
 *
 * Bundles are in memory, so their small files are written and erased at once, on this thread: in turns
 * of the thread pool a bundle took longer than the shim's start. The work folder is on a disk.
 */
export class Bundle {
  readonly namespace: string;
  readonly id: string;
  readonly path: string;
  readonly workPath: string;

  constructor(place: BundlePlace) {
    this.namespace = place.namespace;
    this.id = place.id;
    this.path = path.join(place.bundles, place.namespace, place.id);
    this.workPath = path.join(place.work, place.namespace, place.id);
  }

  /** Makes the folders and files of a task. ALREADY_EXISTS when the bundle is there. */
  static async create(place: BundlePlace, content: BundleContent): Promise<Bundle> {
    const { spec, sandboxId, shimBinary } = content;
    checkName("namespace", place.namespace);
    checkName("task", place.id);
    const bundle = new Bundle(place);
    const gid = mappedRootGid(spec);
    await mkdir(bundle.workPath, { recursive: true, mode: 0o700 });
    mkdirSync(path.dirname(bundle.path), { recursive: true, mode: 0o711 });
    try {
      mkdirSync(bundle.path, { mode: 0o700 });
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      throw fault("ALREADY_EXISTS", `bundle of task "${place.id}" exists`, { cause: error });
    }
    try {
      mkdirSync(bundle.rootfs, { mode: 0o711 });
      writeFileSync(bundle.file("config.json"), spec, { mode: gid === undefined ? 0o600 : 0o640 });
      symlinkSync(bundle.workPath, bundle.file("work"));
      // Before a shim is started: a daemon that dies right then leaves a bundle that tells whose.
      bundle.write("shim-binary-path", shimBinary);
      if (sandboxId !== "") bundle.write("sandbox", sandboxId);
      if (gid !== undefined) bundle.#shareWith(gid);
    } catch (error) {
      await bundle.remove();
      throw error;
    }
    return bundle;
  }

  get rootfs(): string {
    return path.join(this.path, "rootfs");
  }

  /** Whether its task is a sandbox process, which has no shim: the one that may be started here is its containers'. */
  get isOfProcess(): boolean {
    return existsSync(this.file("process"));
  }

  file(name: string): string {
    return path.join(this.path, name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.file(name), text, { mode: 0o600 });
  }

  /** The text of one of its files, trimmed; "" when there is no such file. Throws for what is no plain file. */
  async read(name: string): Promise<string> {
    try {
      return (await readBounded(this.file(name), maxFileBytes)).toString().trim();
    } catch (error) {
      if (isAbsent(error)) return "";
      throw error;
    }
  }

  /**
   * Likewise, of a file of a line or two, on this thread. A start reads some of each bundle: they lie in memory, and the
   * thread pool takes five turns for each.
   */
  readNote(name: string): string {
    try {
      return readBoundedSync(this.file(name), maxNoteBytes).toString().trim();
    } catch (error) {
      if (isAbsent(error)) return "";
      throw error;
    }
  }

  /** Makes the FIFO a shim logs to. A reader must be there before the shim starts. */
  makeLogFifo(): string {
    const fifo = this.file("log");
    makeFifo(fifo, 0o600);
    return fifo;
  }

  /**
   * Unmounts the root file system and removes bundle and work folder; nothing happens where they
   * are gone. The bundle is renamed to a dot name first, so that a crash midway leaves what recovery
   * knows as rubbish. Never deletes through a mount: rootfs must be empty before anything is erased.
   */
  async remove(): Promise<void> {
    await this.#unmountRootfs();
    removals += 1;
    const doomed = path.join(path.dirname(this.path), `.${this.id}.${process.pid}.${removals}`);
    try {
      renameSync(this.path, doomed);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      await rm(this.workPath, { recursive: true, force: true });
      return;
    }
    await Promise.all([eraseFolder(doomed), rm(this.workPath, { recursive: true, force: true })]);
  }

  async #unmountRootfs(): Promise<void> {
    try {
      while (unmount(this.rootfs)) {
        // stacked mounts come off one by one
      }
    } catch (error) {
      if (errnoOf(error) !== "EBUSY") throw error;
      await unmountBelow(this.rootfs); // somebody has mounted something in it, or works there
    }
  }

  #shareWith(gid: number): void {
    for (const path of [this.path, this.rootfs, this.file("config.json")]) chownSync(path, 0, gid);
    chmodSync(this.path, 0o710);
  }
}

/** Where tasks are on disk: in each a folder a namespace, and in that one a task. */
export interface TaskFolders {
  readonly bundles: string;
  readonly work: string;
}

export interface BundlePlace extends TaskFolders {
  readonly namespace: string;
  readonly id: string;
}

export interface BundleContent {
  readonly spec: Uint8Array;
  /** "" for none. */
  readonly sandboxId: string;
  /** Path of the shim's program. */
  readonly shimBinary: string;
}

/**
 * Erases a bundle that has its dot name. Exported for recovery, which finds such leftovers. What is in its
 * rootfs is a container's: it goes by descriptors, and mounts in it are detached, never entered.
 */
export async function eraseFolder(folder: string): Promise<void> {
  const rootfs = path.join(folder, "rootfs");
  try {
    rmdirSync(rootfs);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") await eraseRootfs(folder);
  }
  removeFolderSync(folder);
}

async function eraseRootfs(folder: string): Promise<void> {
  const rootfs = path.join(folder, "rootfs");
  await unmountBelow(rootfs).catch(() => {}); // what stays mounted is detached when its turn comes
  const { workHere } = await import("../../trees/run-here.ts"); // rarely needed
  const call = { signal: cleanupDeadline() };
  const { left } = await workHere().run("remove", { folder, name: "rootfs" }, call);
  if (left === undefined) return;
  throw fault(
    "FAILED_PRECONDITION",
    `"${rootfs}" cannot be removed: ${left.code} at "${left.name}"`,
  );
}

function isAbsent(error: unknown): boolean {
  return errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR";
}

function checkName(what: string, name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) && name.length <= 128) return;
  throw fault(
    "INVALID_ARGUMENT",
    `${what} name "${name}" is not letters, digits, ".", "_" and "-"`,
  );
}
