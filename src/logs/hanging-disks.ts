// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../base/errors.ts";
import { mountsHolding } from "../base/os/mount-table.ts";
import type { LogRequest } from "./messages.ts";

/** The disks that do not answer, by mount point, and the logs that wait for one. */
export class HangingDisks {
  readonly #waits = new Set<{ readonly disk: string | undefined; readonly keys: Set<string> }>();

  /** Notes the logs that wait for this disk; call the function it answers when the disk answers again. */
  add(disk: string | undefined, keys: readonly string[]): () => void {
    const wait = { disk, keys: new Set(keys) };
    this.#waits.add(wait);
    return () => void this.#waits.delete(wait);
  }

  hasLog(key: string): boolean {
    for (const { keys } of this.#waits) if (keys.has(key)) return true;
    return false;
  }

  /** Refuses what needs the disk: a log that waits can only be closed, and its taps ended. */
  refuseLog(request: LogRequest): void {
    if (request.kind !== "close" && request.kind !== "untap") throw noAnswer();
  }

  /** UNAVAILABLE for a log that would be on such a disk. Does not access the disk. */
  async refuse(logPath: string): Promise<void> {
    if (this.#waits.size === 0 || logPath === "") return;
    const disk = (await mountsHolding([logPath])).of(logPath)?.mountPoint;
    for (const wait of this.#waits) {
      if (disk !== undefined && wait.disk === disk) throw noAnswer();
    }
  }
}

function noAnswer(): RuntimeFault {
  return fault("UNAVAILABLE", "the disk of the log file does not answer");
}
