// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { mirrorCritestRegistries, pushCritestImages } from "./critest-images.ts";
import { type CritestOptions, runCritest, type SpecResult } from "./critest-run.ts";
import { type Daemon, type DaemonOptions, startDaemon } from "./daemon.ts";
import { disposeOnSignal } from "./last-resort.ts";
import { startRegistry } from "./registry.ts";
import { scratch } from "./scratch.ts";

/** Pinned by digest to an image at gcr.io, which only gcr.io can serve. */
const unservable = ["public image with digest"];

/** A daemon, and a registry with critest's images that it takes for theirs. */
export interface CritestBed extends AsyncDisposable {
  readonly daemon: Daemon;
  /** Runs critest; the report of each run has a folder named after it. */
  run(
    name: string,
    options: Pick<CritestOptions, "critest" | "focus" | "flags" | "parallel" | "timeoutMs">,
  ): Promise<SpecResult[]>;
  /** The end of a suite: ends the daemon, and fails when anything is left. */
  finish(): Promise<void>;
}

export async function openCritestBed(options: DaemonOptions = {}): Promise<CritestBed> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "critest", space: false }));
  const registry = undo.use(await startRegistry(await home.folder("registry")));
  await pushCritestImages(registry, await home.folder("images"));
  const nriSocket = path.join(home.path, "nri.sock");
  const nri = { enable: true, socket_path: nriSocket };
  const daemon = undo.use(await startDaemon({ ...options, config: { nri, ...options.config } }));
  await mirrorCritestRegistries(path.join(daemon.folder, "certs.d"), registry);
  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  return {
    daemon,
    run: async (name, wish) => {
      const folder = await home.folder(name.replaceAll(" ", "-"));
      const flags = [...(wish.flags ?? []), `--nri-socket=${nriSocket}`];
      return runCritest({ ...wish, flags, socket: daemon.socket, skip: unservable, folder });
    },
    finish: async () => {
      try {
        await daemon.assertCleanEnd();
      } finally {
        await owned.disposeAsync();
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
