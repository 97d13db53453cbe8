// SPDX-License-Identifier: Apache-2.0

import { stat } from "node:fs/promises";
import path from "node:path";
import { identify, killProcess } from "../../base/os/proc.ts";
import { argumentsOf, processesBelow } from "../../base/os/process-scan.ts";
import { type Ground, isYoung, type Leftover } from "./leftover.ts";

/** Shims that work below our folder of bundles, were started for our socket, and serve a task that nobody knows. */
export async function leftShims(ground: Ground): Promise<Leftover[]> {
  const { known, patient } = ground;
  const { host, layout, socket } = patient;
  const found: Leftover[] = [];
  const proc = host.at("/proc");
  for (const { pid } of await processesBelow(host.at(layout.bundles), "cwd", { proc })) {
    const process = identify(pid);
    const argv = await argumentsOf({ pid }, { proc });
    const id = argv[argv.indexOf("-id") + 1] ?? "";
    if (process === undefined || !argv.includes("-id") || known.ids.has(id)) continue;
    if (argv[argv.indexOf("-address") + 1] !== socket || isYoung(ground, await startOf(proc, pid)))
      continue;
    found.push({
      what: `process ${pid} is the shim ${path.basename(argv[0] ?? "")} of "${id}", which berthd does not know`,
      why: "it takes memory, and containers in it run on without anybody who knows them",
      mend: `kill -9 ${pid}`,
      remove: async () => {
        killProcess(process, "SIGKILL");
      },
    });
  }
  return found;
}

/** A process's folder is as old as it is. */
async function startOf(proc: string, pid: number): Promise<number> {
  return (await stat(`${proc}/${pid}`).catch(() => undefined))?.ctimeMs ?? Date.now();
}
