// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import type { Daemon } from "../support/daemon.ts";
import { Inspector } from "./inspector.ts";

/** The daemon's memory after a full collection, in bytes, and its live objects by class. */
export interface Memory {
  /** Of the process, all threads and what is mapped of files. */
  readonly rss: number;
  /** The main thread's objects and the buffers outside of the heap that they hold. */
  readonly live: number;
  readonly objects: ReadonlyMap<string, number>;
}

/** Classes whose instances would be what a daemon forgets to end: timers, sockets, processes, waits. */
const classes: Readonly<Record<string, string>> = {
  Timeout:
    "(() => { const t = setTimeout(() => {}, 0); clearTimeout(t); return t.constructor.prototype; })()",
  Socket: `process.getBuiltinModule("node:net").Socket.prototype`,
  ChildProcess: `process.getBuiltinModule("node:child_process").ChildProcess.prototype`,
  Worker: `process.getBuiltinModule("node:worker_threads").Worker.prototype`,
  AbortSignal: "AbortSignal.prototype",
};

export async function takeMemory(daemon: Daemon, inspectorPort: number): Promise<Memory> {
  await using inspector = await Inspector.connect(daemon.pid(), inspectorPort);
  const objects = new Map<string, number>();
  await inspector.collectGarbage();
  for (const [name, prototype] of Object.entries(classes)) {
    objects.set(`objects ${name}`, await inspector.count(prototype));
  }
  const handles = await inspector.evaluate<string[]>("process.getActiveResourcesInfo()");
  for (const handle of handles) {
    const name = `handles ${handle}`;
    objects.set(name, (objects.get(name) ?? 0) + 1);
  }
  await inspector.collectGarbage();
  const live = await inspector.evaluate<number>(
    "(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())",
  );
  return { rss: await rssOf(daemon.pid()), live, objects };
}

export async function rssOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}
