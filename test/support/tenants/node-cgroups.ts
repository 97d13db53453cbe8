// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdir, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { cgroupMounts } from "../cgroups.ts";
import { until } from "../until.ts";

/** How often a kubelet's share what each part gets counts here, so that other programs of the machine count little. */
const times = 32;
/** As systemd gives a service. */
const serviceShares = 1024 * times;
/** As a kubelet gives all its pods together, on a node of two processors. */
const podsShares = 2 * serviceShares;

/** The processors' cgroups as a node has them: the runtime's with its shims, the kubelet's, and the pods'. */
export interface NodeCgroups extends AsyncDisposable {
  /** `cgroup.procs` of each: a process id goes there. */
  readonly runtime: string;
  readonly kubelet: string;
  /** Gives the pods below `place` their share; the cgroup is there already. */
  weighPods(place: string): Promise<void>;
}

/** Undefined where there is no controller of the processors, or tests may not make cgroups. */
export async function nodeCgroups(name: string): Promise<NodeCgroups | undefined> {
  const mounts = await cgroupMounts();
  const mount = mounts.find(
    (each) => existsSync(path.join(each, "cpu.shares")) || existsSync(path.join(each, "cpu.stat")),
  );
  if (mount === undefined) return undefined;
  await using undo = new AsyncDisposableStack();
  const make = async (part: string): Promise<string> => {
    const folder = path.join(mount, `${name}-${part}`);
    await mkdir(folder);
    undo.defer(() => removed(folder));
    await weigh(folder, serviceShares);
    return path.join(folder, "cgroup.procs");
  };
  try {
    const runtime = await make("runtime");
    const kubelet = await make("kubelet");
    const owned = undo.move();
    return {
      runtime,
      kubelet,
      weighPods: (place) => weigh(path.join(mount, place), podsShares),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch {
    return undefined;
  }
}

/** In a file of either version; a weight is 100 where shares are 1024, and 10,000 at most. */
async function weigh(folder: string, shares: number): Promise<void> {
  const v1 = path.join(folder, "cpu.shares");
  if (existsSync(v1)) return writeFile(v1, String(shares));
  return writeFile(
    path.join(folder, "cpu.weight"),
    String(Math.min(10_000, (shares * 100) / 1024)),
  );
}

/** What was in it may take a moment to be gone. */
async function removed(folder: string): Promise<void> {
  await until(`${folder} is empty`, async () => {
    await rmdir(folder);
    return true;
  });
}
