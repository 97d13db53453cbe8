// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync } from "node:fs";
import path from "node:path";
import type { Logger } from "../base/logger.ts";
import { openFifoReader } from "../base/os/fifo.ts";
import { identify, killProcess, type ProcessIdentity } from "../base/os/proc.ts";
import { processesBelow } from "../base/os/process-scan.ts";
import { reap } from "../base/os/reaper.ts";
import { spawnProcessAside } from "../base/os/spawn.ts";

/** The name that holders run under; the folder of their FIFOs is their only argument. */
const holderName = "berth-fifo-holder";

/**
 * Processes that keep a container's output while the daemon is away. A FIFO forgets what it holds when
 * its last end is closed, and a shim closes both of its own when the container ends: what was written
 * since the daemon died would be gone. So one small process per running container has the read ends
 * open too and never reads. It lives in a session of its own, as shims do, and is found again by its
 * standard input, which is the first FIFO.
 */
export class FifoHolders {
  readonly #program: string;
  readonly #log: Logger;
  readonly #holders = new Map<string, ProcessIdentity>();
  readonly #starting = new Set<string>();

  /** `program` must ignore its descriptors and sleep until it is killed, as the sandbox's pause does. */
  constructor(program: string, log: Logger) {
    this.#program = program;
    this.#log = log;
  }

  /** Finds the holders of FIFOs below `root` that an earlier daemon started. Call it once, first. */
  async find(root: string): Promise<void> {
    // The name that the kernel gives a process: its program's, cut at 15 bytes.
    const name = path.basename(this.#program).slice(0, 15);
    for (const { pid, target } of await processesBelow(root, "fd/0")) {
      const holder = identify(pid);
      if (holder?.name === name) this.#holders.set(path.dirname(target), holder);
    }
  }

  /**
   * Starts a holder for the FIFOs of a folder, unless there is one. The FIFOs are open when it returns, and held for
   * good once the promise settles. A log works without a holder: never rejects.
   */
  async hold(folder: string, fifos: readonly string[]): Promise<void> {
    if (this.#holders.has(folder) || this.#starting.has(folder)) return;
    const fds: number[] = [];
    this.#starting.add(folder);
    try {
      for (const fifo of fifos) fds.push(openFifoReader(fifo));
      const rest = openSync("/dev/null", "r");
      fds.push(rest);
      const [first = rest, second = rest] = fds;
      const pid = await spawnProcessAside({
        path: this.#program,
        argv: [holderName, folder],
        env: {},
        cwd: "/",
        stdio: [first, second, rest],
      });
      // So that it does not stay a zombie; its exit status does not matter.
      void reap(pid, { keepsAlive: false });
      const holder = identify(pid);
      if (holder) this.#keep(folder, holder);
    } catch (err) {
      this.#log.warn({ err, folder }, "output will not outlast a restart: FIFOs cannot be held");
    } finally {
      this.#starting.delete(folder);
      for (const fd of fds) closeSync(fd);
    }
  }

  /** Ends the holder of a folder, also one that is being started. */
  release(folder: string): void {
    this.#starting.delete(folder);
    const holder = this.#holders.get(folder);
    if (holder) killProcess(holder, "SIGKILL");
    this.#holders.delete(folder);
  }

  /** Ends the holders of all folders but these. */
  releaseOthers(used: ReadonlySet<string>): void {
    for (const folder of this.#holders.keys()) if (!used.has(folder)) this.release(folder);
  }

  /** Keeps the holder, or ends it where its folder was released meanwhile. */
  #keep(folder: string, holder: ProcessIdentity): void {
    if (this.#starting.has(folder)) this.#holders.set(folder, holder);
    else killProcess(holder, "SIGKILL");
  }
}
