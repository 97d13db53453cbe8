// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import path from "node:path";
import { type Cancellable, cleanupDeadline } from "../../base/cancellable.ts";
import { errnoOf, toFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { cgroupMounts } from "../../base/os/mount-table.ts";
import { QuietGate } from "../../base/quiet-gate.ts";
import { readBoundedSync } from "../../base/read-bounded.ts";
import { type OneTimer, startTimer } from "../../base/timers.ts";
import { cgroupsPathIn } from "../bundle/spec-text.ts";

const maxNotesBytes = 64 * 1024 * 1024;

/** Long enough that pods in a row find the parent there, short enough to look tidy. */
const restMs = 1_000;
/** The daemon's end waits no longer for a creation that hangs. */
const lastMs = 1_000;

/**
 * The cgroups above the containers' own (`/k8s.io`, `/NAMESPACE`, a cgroup_parent that nobody made). The
 * OCI runtime makes them for the first container and no one ever removes them; what was there
 * before, a kubelet's for one, is not ours. `file` remembers them until the machine's next boot.
 */
export class CgroupParents implements AsyncDisposable {
  readonly #file: string;
  readonly #log: Logger;
  /** Creations are in; removal runs alone: a parent must not go between its making and its child's. */
  readonly #gate = new QuietGate();
  readonly #made: Set<string>;
  #mounts: Promise<readonly CgroupMount[]> | undefined;
  #timer: OneTimer | undefined;

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
    this.#made = new Set(readNotes(file));
  }

  /** To be held while the OCI runtime may make the cgroups that a spec names. */
  async hold(spec: Uint8Array, call: Cancellable): Promise<Disposable> {
    const door = await this.#gate.enter(call).catch((error: unknown) => {
      throw toFault(error);
    });
    try {
      const mounts = await this.#hierarchies();
      const missing = ancestorsOf(cgroupsPathIn(spec)).filter(
        (place) => !mounts.some((mount) => existsSync(folderOf(mount, place))),
      );
      if (missing.length > 0) {
        for (const place of missing) this.#made.add(place);
        this.#note();
      }
      return door;
    } catch (error) {
      door[Symbol.dispose]();
      throw error;
    }
  }

  /** A container is gone: soon the parents that nothing is in any more go too. */
  containerGone(): void {
    if (this.#made.size === 0) return;
    this.#timer ??= startTimer(() => {
      this.#timer = undefined;
      void this.removeEmpty({ signal: cleanupDeadline() });
    }, restMs).unref();
  }

  /** Removes the made parents that are empty. Never rejects. */
  async removeEmpty(call: Cancellable): Promise<void> {
    if (this.#made.size === 0) return;
    try {
      await this.#gate.whenQuiet(() => this.#removeEmpty(), call);
    } catch (err) {
      this.#log.warn({ err }, "empty parent cgroups were not removed");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.stop();
    await this.removeEmpty({ signal: cleanupDeadline(lastMs) });
  }

  async #removeEmpty(): Promise<void> {
    const mounts = await this.#hierarchies();
    const before = this.#made.size;
    // The deepest first. A cgroup with a process or a child in it does not go.
    for (const place of [...this.#made].toSorted((a, b) => b.length - a.length)) {
      const gone = await Promise.all(mounts.map((mount) => isRemoved(folderOf(mount, place))));
      if (gone.every(Boolean)) this.#made.delete(place);
    }
    if (this.#made.size < before) this.#note();
  }

  #hierarchies(): Promise<readonly CgroupMount[]> {
    this.#mounts ??= cgroupMounts();
    return this.#mounts;
  }

  // An aid, not a duty: no container fails over it.
  #note(): void {
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o711 });
      const text = `${[bootId(), ...this.#made].join("\n")}\n`;
      const beside = `${this.#file}.new`; // whatever lies there is not waited for
      rmSync(beside, { force: true });
      writeFileSync(beside, text, { mode: 0o600, flag: "wx" });
      renameSync(beside, this.#file);
    } catch (err) {
      this.#log.warn({ err, file: this.#file }, "made cgroups were not noted");
    }
  }
}

interface CgroupMount {
  readonly mountPoint: string;
  readonly root: string;
}

/** `/a/b/c` → /a/b and /a; none for systemd's way of naming, whose slices systemd keeps itself. */
function ancestorsOf(cgroupsPath: string): string[] {
  if (!cgroupsPath.startsWith("/") || /[:\n]/.test(cgroupsPath)) return [];
  const found: string[] = [];
  let place = path.posix.dirname(path.posix.normalize(cgroupsPath));
  for (; place !== "/"; place = path.posix.dirname(place)) found.push(place);
  return found;
}

function folderOf(mount: CgroupMount, place: string): string {
  return path.join(mount.mountPoint, path.relative(mount.root, place));
}

async function isRemoved(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    return errnoOf(error) === "ENOENT";
  }
}

/** The first line is the boot it was written in: cgroups do not outlive one, their names may come again. */
function readNotes(file: string): string[] {
  try {
    const [boot, ...places] = readBoundedSync(file, maxNotesBytes).toString().split("\n");
    return boot === bootId() ? places.filter((place) => place.startsWith("/")) : [];
  } catch {
    return []; // none were made, or nobody can tell any more
  }
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
