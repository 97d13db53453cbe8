// SPDX-License-Identifier: Apache-2.0
import { lacking, podPrograms } from "../test/support/lacking.ts";
import { type Registry, startRegistry } from "../test/support/registry.ts";
import { type Scratch, scratch } from "../test/support/scratch.ts";
import { pushTestImages } from "../test/support/test-images.ts";
import {
  type Contender,
  type ContenderName,
  containerdProgram,
  contenderNames,
  type PodPrograms,
  startContender,
  usualPrograms,
} from "./contender.ts";

/** The runtimes side by side, and what they pull from. Disposing it removes everything. */
export interface SetUp extends AsyncDisposable {
  readonly contenders: readonly Contender[];
  /** A shell that all of them have pulled. */
  readonly image: string;
  readonly registry: Registry;
  readonly home: Scratch;
}

/**
 * Starts Berth and each containerd that is there, or those named (with commas between), all with the same programs.
 * Says what is missing and answers undefined where it cannot.
 */
export async function setUp(
  only: string | undefined,
  programs: PodPrograms = usualPrograms,
): Promise<SetUp | undefined> {
  const names = await namesOf(only);
  const missing = lacking(...podPrograms);
  const problem = typeof names === "string" ? names : missing !== false && `bench ${missing}`;
  if (typeof names === "string" || problem !== false) {
    console.error(problem);
    process.exitCode = 1;
    return undefined;
  }
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "bench" }));
  const registry = undo.use(await startRegistry(await home.folder("registry")));
  const images = await pushTestImages(registry, await home.folder("images"));
  const image = images.shell.reference;
  const contenders: Contender[] = [];
  for (const name of names) {
    const it = undo.use(await startContender(name, images.idle.reference, programs));
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

/** Who takes part; a text when that cannot be. */
async function namesOf(only: string | undefined): Promise<readonly ContenderName[] | string> {
  const asked = only?.split(",");
  const unknown = asked?.find((name) => !contenderNames.some((known) => known === name));
  if (unknown !== undefined) {
    return `no runtime is called "${unknown}": there are ${contenderNames.join(", ")}`;
  }
  const names: ContenderName[] = [];
  for (const name of contenderNames) {
    if (asked !== undefined && !asked.includes(name)) continue;
    if (name === "berth" || (await containerdProgram(name)) !== undefined) names.push(name);
    else if (asked !== undefined || name === "containerd") {
      return name === "containerd"
        ? "bench needs containerd"
        : `bench needs ${name}: scripts/node scripts/build-tools.ts ${name}`;
    }
  }
  return names;
}
