// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";

export interface TrafficCounters {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly dropped: number;
}

export interface InterfaceCounters {
  readonly name: string;
  readonly receive: TrafficCounters;
  readonly transmit: TrafficCounters;
}

/** Counters of every interface but loopback in the network namespace that `pid` is in; empty when it is gone. */
export async function readInterfaceCounters(pid: number): Promise<InterfaceCounters[]> {
  return parseNetDev(await readFile(`/proc/${pid}/net/dev`, "utf8").catch(() => ""));
}

/** Parses /proc/PID/net/dev: two lines of headings, then `name: ` and sixteen numbers. */
export function parseNetDev(text: string): InterfaceCounters[] {
  return text.split("\n").flatMap((line) => {
    const [, name, rest] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined || name === "lo") return [];
    const values = rest.trim().split(/\s+/).map(Number);
    if (values.length < 16 || values.some(Number.isNaN)) return [];
    const traffic = (at: number): TrafficCounters => ({
      bytes: values[at] ?? 0,
      packets: values[at + 1] ?? 0,
      errors: values[at + 2] ?? 0,
      dropped: values[at + 3] ?? 0,
    });
    return [{ name, receive: traffic(0), transmit: traffic(8) }];
  });
}
