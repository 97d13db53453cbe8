// SPDX-License-Identifier: Apache-2.0
import { type Daemon, type DaemonOptions, startDaemon } from "./daemon.ts";
import { disposeOnSignal } from "./last-resort.ts";
import type { Cri } from "./pods.ts";
import { type Registry, startRegistry } from "./registry.ts";
import { scratch } from "./scratch.ts";
import { pushTestImages, type TestImages } from "./test-images.ts";

/** A daemon, a registry with the test images in it, and the images pulled. */
export interface Testbed extends AsyncDisposable {
  readonly daemon: Daemon;
  readonly cri: Cri;
  readonly registry: Registry;
  readonly images: TestImages;
  /** A folder for the test's own files. */
  readonly folder: string;
  /** The end of a suite: removes all pods, ends the daemon, and fails when anything is left. */
  finish(): Promise<void>;
}

/** What most e2e suites start with: `before(async () => { bed = await openTestbed(); })`. */
export async function openTestbed(options: DaemonOptions = {}): Promise<Testbed> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "bed" }));
  const registry = undo.use(await startRegistry(await home.folder("registry")));
  const images = await pushTestImages(registry, await home.folder("images"));
  const daemon = undo.use(await startDaemon(options));
  for (const name of ["shell", "worker", "failing"] as const) {
    await daemon.cri.images.PullImage({ image: { image: images[name].reference } });
  }
  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  return {
    daemon,
    cri: daemon.cri,
    registry,
    images,
    folder: await home.folder("files"),
    finish: async () => {
      try {
        await daemon.assertCleanEnd();
      } catch (error) {
        const lines = (await daemon.log()).trimEnd().split("\n").slice(-30);
        for (const line of lines) console.error(line.slice(0, 300));
        throw error;
      } finally {
        await owned.disposeAsync();
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
