// SPDX-License-Identifier: Apache-2.0
import type { Daemon } from "../support/daemon.ts";
import { processInfo } from "../support/processes.ts";
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
const classes = ["Timeout", "Socket", "ChildProcess", "Worker", "AbortSignal", "ServerHttp2Stream"];

export async function takeMemory(daemon: Daemon, inspectorPort: number): Promise<Memory> {
  await using inspector = await Inspector.connect(inspectorPort);
  const objects = new Map<string, number>();
  const counts = await inspector.countObjects();
  for (const name of classes) objects.set(`objects ${name}`, counts[name] ?? 0);
  const handles = await inspector.evaluate<string[]>("process.getActiveResourcesInfo()");
  for (const handle of handles) {
    const name = `handles ${handle}`;
    objects.set(name, (objects.get(name) ?? 0) + 1);
  }
  await inspector.collectGarbage();
  const live = await inspector.evaluate<number>(
    "(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())",
  );
  return { rss: processInfo(daemon.pid())?.rssBytes ?? 0, live, objects };
}
