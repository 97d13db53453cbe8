// SPDX-License-Identifier: Apache-2.0
import { readMemoryLimit } from "./memory-limit.ts";

const mib = 2 ** 20;

/**
 * How the memory that the daemon may use is shared out: each is what one kind of work may hold together,
 * in bytes unless it says otherwise. With 2 GiB or more all are as large as they ever get.
 */
export interface MemoryShares {
  /** Requests of clients, from their first byte to the end of their call. */
  readonly requestBytes: number;
  /** Answers from when they are made until the client has them. */
  readonly answerBytes: number;
  /** Commands of ExecSync that run, each counted as `execBytes`. */
  readonly execPlaceBytes: number;
  /** Output of ExecSync's commands. */
  readonly execOutputBytes: number;
  /** Output that waits for attached clients, in the log thread. */
  readonly tapBytes: number;
  /** Events that wait for one slow subscriber. */
  readonly eventBytes: number;
  /** The largest document that is read: JSON can become objects of forty times its size. */
  readonly documentBytes: number;
  readonly documentThreads: number;
  /** Heaps of the threads that read documents, write the database, serve sessions, write logs and walk trees. */
  readonly documentHeapMiB: number;
  readonly databaseHeapMiB: number;
  readonly streamingHeapMiB: number;
  readonly logHeapMiB: number;
  readonly treeHeapMiB: number;
  /** Heap of a process that extracts layers. */
  readonly extractorHeapMiB: number;
  /** Calls served at once. */
  readonly calls: number;
  /** Processes that extract layers at once: for new layers, and for such as take long. */
  readonly extractors: number;
  readonly longExtractors: number;
  /** CNI operations at once: each runs some plugins. */
  readonly networkSetups: number;
  /** Calls at once that have shims run the OCI runtime. */
  readonly runtimeCalls: number;
  /**
   * Share of the cgroup that is kept free when a shim is started, for containers in the pods that run, for their
   * probes, and for ending them. More than what must be left for a command to run (a fifth), or a full node would
   * fail every probe.
   */
  readonly keptBytes: number;
}

/** What a command of ExecSync takes beside its output: its spec, its FIFOs, the watch on its end. */
export const execBytes = 256 * 1024;
/** What a process that extracts layers takes beside its heap. */
export const extractorBytes = 48 * mib;
/** What the plugins of one CNI operation take, two or three at a time. */
export const networkSetupBytes = 12 * mib;
/** What the OCI runtime takes while a shim runs it. */
export const runtimeCallBytes = 10 * mib;
/** What a shim takes while it starts; once it is up it holds less than half of that. */
export const shimStartBytes = 8 * mib;

/** The shares of a daemon that may use `bytes` in all. */
export function memoryShares(bytes: number): MemoryShares {
  const part = (share: number, least: number, most: number): number =>
    Math.round(Math.min(most, Math.max(least, bytes * share)));
  const heap = (share: number, leastMiB: number, mostMiB: number): number =>
    Math.floor(part(share, leastMiB * mib, mostMiB * mib) / mib);
  const extractors = Math.floor(part(1 / 5 / extractorBytes, 1, 15));
  return {
    requestBytes: part(1 / 24, 4 * mib, 64 * mib),
    answerBytes: part(1 / 12, 16 * mib, 256 * mib),
    execPlaceBytes: part(1 / 12, 4 * mib, 256 * mib),
    execOutputBytes: part(1 / 16, 4 * mib, 256 * mib),
    tapBytes: part(1 / 24, 4 * mib, 128 * mib),
    eventBytes: part(1 / 48, 2 * mib, 16 * mib),
    documentBytes: part(1 / 160, 1 * mib, 8 * mib),
    documentThreads: part(1 / (512 * mib), 1, 2),
    documentHeapMiB: heap(1 / 4, 48, 512),
    databaseHeapMiB: heap(1 / 6, 32, 256),
    streamingHeapMiB: heap(1 / 6, 32, 512),
    logHeapMiB: heap(1 / 6, 32, 512),
    treeHeapMiB: heap(1 / 12, 24, 64),
    extractorHeapMiB: heap(1 / 3, 64, 1024),
    calls: part(1 / (192 * 1024), 256, 8192),
    extractors: Math.min(3, extractors),
    longExtractors: Math.min(12, Math.max(1, extractors - 3)),
    networkSetups: part(1 / 10 / networkSetupBytes, 2, 64),
    runtimeCalls: part(1 / 8 / runtimeCallBytes, 2, 256),
    keptBytes: part(2 / 5, 16 * mib, Number.POSITIVE_INFINITY),
  };
}

let ours: MemoryShares | undefined;

/** The shares of this daemon; the same in each of its threads. */
export function ourShares(): MemoryShares {
  return (ours ??= memoryShares(readMemoryLimit().bytes));
}
