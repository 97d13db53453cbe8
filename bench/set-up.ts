// SPDX-License-Identifier: Apache-2.0
import { lacking, podPrograms } from "../test/support/lacking.ts";
import { type Registry, startRegistry } from "../test/support/registry.ts";
import { type Scratch, scratch } from "../test/support/scratch.ts";
import { pushTestImages } from "../test/support/test-images.ts";
import { type Contender, type ContenderName, startContender } from "./contender.ts";

/** The runtimes side by side, and what they pull from. Disposing it removes everything. */
export interface SetUp extends AsyncDisposable {
  readonly contenders: readonly Contender[];
  /** A shell that all of them have pulled. */
  readonly image: string;
  readonly registry: Registry;
  readonly home: Scratch;
}

/** Starts both runtimes, or the one named. Says what is missing and answers undefined where it cannot. */
export async function setUp(only: string | undefined): Promise<SetUp | undefined> {
  const names: ContenderName[] = (["berth", "containerd"] as const).filter(
    (name) => only === undefined || only === name,
  );
  const missing = lacking(...podPrograms, ...(names.includes("containerd") ? ["containerd"] : []));
  if (names.length === 0 || missing !== false) {
    console.error(names.length === 0 ? `no runtime is called "${only}"` : `bench ${missing}`);
    process.exitCode = names.length === 0 ? 2 : 1;
    return undefined;
  }
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "bench" }));
  const registry = undo.use(await startRegistry(await home.folder("registry")));
  const images = await pushTestImages(registry, await home.folder("images"));
  const image = images.shell.reference;
  const contenders: Contender[] = [];
  for (const name of names) {
    const it = undo.use(await startContender(name, images.idle.reference));
    await it.cri.images.PullImage({ image: { image } });
    contenders.push(it);
  }
  const owned = undo.move();
  return {
    contenders,
    image,
    registry,
    home,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
