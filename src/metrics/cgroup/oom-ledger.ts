// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { KeyedMutex } from "../../base/keyed-mutex.ts";

/** One container's watch; it counts until `kills` or `forget` ends it. */
export interface OomWatch {
  /** OOM kills since the cgroup was made, asked after the container ended with this exit code. */
  kills(exitCode: number): Promise<number>;
  /** For a container that never ran. */
  forget(): void;
}

interface Parent {
  readonly members: Set<string>;
  /** What the parent's counter holds of the time before, and of members that have ended. */
  explained: bigint;
}

/** The exit code of a process that SIGKILL ended. */
const killedCode = 137;

/**
 * Counts containers' OOM kills on cgroup v2. systemd removes a scope as soon as its last process is
 * gone, mostly before anybody could read what the kernel counted there. The counter of the cgroup above
 * has these kills too, and stays: what in it is explained neither by the containers that are still there
 * nor by those of before is the ended one's. Nothing is missed, however late the daemon looks.
 */
export class OomLedger {
  /** `oom_kill` of a cgroup's memory.events; undefined when it is gone or does not count. */
  readonly #read: (folder: string) => Promise<bigint | undefined>;
  readonly #parents = new Map<string, Parent>();
  /** Held while the kernel's own files are read, which no disk and no other process can delay. */
  readonly #turns = new KeyedMutex();

  constructor(read: (folder: string) => Promise<bigint | undefined>) {
    this.#read = read;
  }

  /** To be called when the cgroup is made and before its container starts, or when a running one is found. */
  async watch(folder: string, call: Cancellable): Promise<OomWatch> {
    const above = path.dirname(folder);
    using _turn = await this.#turns.lock(above, call);
    await this.#enter(above, folder);
    if (call.signal.aborted) this.#leave(above, folder); // nobody gets the watch that would end it
    call.signal.throwIfAborted();
    return {
      kills: async (exitCode) => {
        using _later = await this.#turns.lock(above);
        return await this.#settle(above, folder, exitCode);
      },
      forget: () => this.#leave(above, folder),
    };
  }

  async #enter(above: string, folder: string): Promise<void> {
    let parent = this.#parents.get(above);
    if (parent === undefined) {
      parent = { members: new Set(), explained: (await this.#read(above)) ?? 0n };
      this.#parents.set(above, parent);
    }
    parent.members.add(folder);
    // From here on they are read in its own cgroup.
    parent.explained -= (await this.#read(folder)) ?? 0n;
  }

  async #settle(above: string, folder: string, exitCode: number): Promise<number> {
    const parent = this.#parents.get(above);
    const own = await this.#read(folder);
    if (parent === undefined) return Number(own ?? 0n);
    this.#leave(above, folder);
    if (own !== undefined) {
      parent.explained += own;
      return Number(own);
    }
    const { unexplained, gone } = await this.#balance(above, parent);
    // Others have ended too and were not asked for yet: who was not killed leaves it to them.
    if (unexplained <= 0n || (gone > 0 && exitCode !== killedCode)) return 0;
    const taken = gone > 0 ? 1n : unexplained;
    parent.explained += taken;
    return Number(taken);
  }

  async #balance(above: string, parent: Parent): Promise<{ unexplained: bigint; gone: number }> {
    for (let attempt = 1; ; attempt += 1) {
      const before = await this.#read(above);
      const others = await Promise.all([...parent.members].map((member) => this.#read(member)));
      const after = await this.#read(above);
      // A kill in between would be counted on one side only.
      if (before !== after && attempt < 4) continue;
      const alive = others.reduce<bigint>((sum, kills) => sum + (kills ?? 0n), 0n);
      return {
        unexplained: (before ?? 0n) - parent.explained - alive,
        gone: others.filter((kills) => kills === undefined).length,
      };
    }
  }

  #leave(above: string, folder: string): void {
    const parent = this.#parents.get(above);
    parent?.members.delete(folder);
    if (parent?.members.size === 0) this.#parents.delete(above);
  }
}
