// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openFilesOf, processes } from "../../support/processes.ts";
import { run } from "../../support/run.ts";
import { scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";
import {
  assertWhole,
  nothingHalf,
  openSwept,
  referenceLayers,
  serveSwept,
  sweptImage,
} from "./disk-sweep.ts";
import { namespace } from "./library.ts";

const child = fileURLToPath(new URL("crash-child.ts", import.meta.url));
const call = () => ({ signal: AbortSignal.timeout(240_000) });

export type Verb = "pull" | "load" | "remove";

/**
 * Kills a process at each of these changes that a verb makes to the disk. The next one that opens the folder finds nothing
 * half, the next pull is right and asks for no blob that is whole, and all can be removed. Answers how many were
 * killed; ends with the first that comes to its end.
 */
export async function sweepCrashes(verb: Verb, points: Iterable<number>): Promise<number> {
  await using home = await scratch({ prefix: "crash" });
  const root = await home.folder("root");
  const archive = await home.folder("archive");
  const image = await sweptImage(archive, "crash");
  const reference = await referenceLayers(await home.folder("reference"), image);
  await using registry = await serveSwept(image);
  const name = `${registry.host}/a/b`;
  const what = { pull: name, load: archive, remove: image.id }[verb];
  let killed = 0;
  for (const point of points) {
    if (verb === "remove") {
      await using library = await openSwept(root);
      await library.images.pull(name, call());
    }
    const { code: exitCode, stderr } = await run(process.execPath, [
      child,
      root,
      verb,
      what,
      String(point),
    ]);
    assert.ok(exitCode === 0 || stderr === "", stderr);
    await until("no extraction goes on", () => extractorsIn(root).length === 0);
    await using library = await openSwept(root);
    const { images, content } = library;
    await nothingHalf(root, library, image);
    if (exitCode === 0 || images.find(image.id)) {
      if (images.find(image.id)) assertWhole(library, image, reference);
      else assert.equal(verb, "remove");
    }
    const known = new Set(content.list(namespace).map(({ digest }) => digest as string));
    const from = registry.heard.length;
    await images.pull(name, call());
    assertWhole(library, image, reference);
    if (verb === "pull") {
      const again = registry.heard
        .slice(from)
        .filter((said) => said.startsWith("GET"))
        .map((said) => /sha256:[0-9a-f]{64}/.exec(said)?.[0] ?? "")
        .filter((digest) => known.has(digest));
      assert.deepEqual(again, [], `at ${point}`);
    }
    await images.remove(image.id, call());
    await nothingHalf(root, library, image);
    assert.deepEqual(content.list(namespace), [], `at ${point}`);
    assert.deepEqual(await content.ingests(namespace), [], `at ${point}`);
    if (exitCode === 0) break;
    killed += 1;
  }
  return killed;
}

/** Processes that extract layers of this folder. */
function extractorsIn(root: string): number[] {
  return processes(({ argv }) => argv.some((word) => word.includes("extract-child")))
    .map(({ pid }) => pid)
    .filter((pid) => openFilesOf(pid).some((file) => file.startsWith(root)));
}
