// SPDX-License-Identifier: Apache-2.0
import { readStartSync } from "../base/read-bounded.ts";

/** What is looked at of a pod's interfaces: it may make any number of them, and each is a series. */
const maxInterfaces = 64;
const maxBytes = 64 * 1024;
/** The name that CNI gives a pod's first interface. */
export const defaultInterface = "eth0";

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

/**
 * Counters of the interfaces in the network namespace that `pid` is in, without loopback: of eth0 and the first
 * ones, 64 at most, among those in the first 64 KiB of the kernel's list. Empty when it is gone.
 */
export function readInterfaceCounters(pid: number): InterfaceCounters[] {
  const bytes = startOf(`/proc/${pid}/net/dev`);
  return parseNetDev(bytes.toString("latin1", 0, bytes.lastIndexOf(0x0a) + 1)); // whole lines only
}

function startOf(file: string): Buffer {
  try {
    return readStartSync(file, maxBytes);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Parses /proc/PID/net/dev: two lines of headings, then `name: ` and sixteen numbers. At most 64 are answered. */
export function parseNetDev(text: string): InterfaceCounters[] {
  const all = parseAll(text);
  const at = all.findIndex(({ name }) => name === defaultInterface);
  return at < maxInterfaces
    ? all.slice(0, maxInterfaces)
    : [...all.slice(at, at + 1), ...all.slice(0, maxInterfaces - 1)];
}

function parseAll(text: string): InterfaceCounters[] {
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
