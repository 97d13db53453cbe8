// SPDX-License-Identifier: Apache-2.0

import type { Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { errnoOf, fault, toFault } from "../base/errors.ts";
import { mountsHolding } from "../base/os/mount-table.ts";
import { run } from "../base/process.ts";
import { readStart } from "../base/read-bounded.ts";

/** Enough of each file that is looked at here. */
const mostBytes = 1024 * 1024;
const mostNames = 100_000;
/** How long a file system may take to say that it is there. */
const answerMs = 3_000;
/** File systems that answer by themselves. All others depend on a server, which may be dead. */
const local =
  /^(ext[234]|xfs|btrfs|f2fs|zfs|bcachefs|erofs|squashfs|iso9660|vfat|overlay|tmpfs|devtmpfs|ramfs|rootfs|proc|sysfs|cgroup2?|bpf|mqueue|nsfs|securityfs|tracefs|debugfs)$/;

/**
 * The node's files. A dead server's file system would keep each thread that touches it: so before the first look below
 * a mount of that kind a child process is sent there, and one that does not come back makes each further look fail at
 * once.
 */
export class Host {
  readonly #root: string;
  readonly #answers = new Map<string, Promise<string | undefined>>();

  /** `root`: where the node's root file system is; "" or "/" for our own. */
  constructor(root = "") {
    this.#root = root === "/" ? "" : root;
  }

  /** Whether this is the system that we run in. */
  get isOurs(): boolean {
    return this.#root === "";
  }

  /** The path by which a file of the node is found from here. */
  at(file: string): string {
    return this.#root === "" ? file : path.join(this.#root, file);
  }

  /** A text with paths as the node has them. */
  named(text: string): string {
    return this.#root === "" ? text : text.replaceAll(`${this.#root}/`, "/");
  }

  /** Resolves when the file system of a path answers; UNAVAILABLE with its mount when it does not. */
  async reach(file: string): Promise<void> {
    const place = this.at(file);
    const mount = (await mountsHolding([place])).of(place);
    if (mount === undefined || local.test(mount.type)) return;
    const { mountPoint, type } = mount;
    const known = this.#answers.get(mountPoint) ?? sees(mountPoint);
    this.#answers.set(mountPoint, known);
    const problem = await known;
    if (problem === undefined) return;
    throw fault("UNAVAILABLE", `the ${type} file system on ${mountPoint} ${problem}`);
  }

  /** The file's first MiB; undefined when there is no such file. */
  async text(file: string): Promise<string | undefined> {
    await this.reach(file);
    try {
      await isRegular(this.at(file));
      return (await readStart(this.at(file), mostBytes)).toString();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** The same without what surrounds it, for files of one value. */
  async value(file: string): Promise<string | undefined> {
    return (await this.text(file).catch(() => undefined))?.trim();
  }

  /** Names in a folder, in order; none when there is no such folder. */
  async names(folder: string): Promise<readonly string[]> {
    await this.reach(folder);
    try {
      return (await readdir(this.at(folder))).slice(0, mostNames).toSorted();
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  /** undefined when there is no such file. Links are followed. */
  async stat(file: string): Promise<Stats | undefined> {
    await this.reach(file);
    try {
      return await stat(this.at(file));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async has(file: string): Promise<boolean> {
    return (await this.stat(file)) !== undefined;
  }
}

/** A FIFO would be waited for. */
async function isRegular(file: string): Promise<void> {
  const facts = await stat(file);
  if (!facts.isFile()) throw fault("FAILED_PRECONDITION", `${file} is no regular file`);
}

function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "");
}

async function sees(mountPoint: string): Promise<string | undefined> {
  try {
    await run("stat", ["-f", "--", mountPoint], { timeoutMs: answerMs, maxOutputBytes: 65_536 });
    return undefined;
  } catch (error) {
    const { code, message } = toFault(error);
    return code === "DEADLINE_EXCEEDED" ? "does not answer" : `cannot be used: ${message}`;
  }
}
