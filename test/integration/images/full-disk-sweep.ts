// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { isFault } from "../../../src/base/errors.ts";
import { scratch } from "../../support/scratch.ts";
import {
  assertWhole,
  nothingHalf,
  openSwept,
  referenceLayers,
  serveSwept,
  sweptImage,
  sweptRoom,
} from "./disk-sweep.ts";
import { namespace } from "./library.ts";

/** How much room a pull has: bytes or inodes. */
export interface Room {
  readonly bytes?: number;
  readonly inodes?: number;
}

/** What such a pull needs at most, with what it writes to the database. */
export const needed = { bytes: 800_000, inodes: 80 };

const call = () => ({ signal: AbortSignal.timeout(240_000) });
/** Image, what was being done, where, and why. */
const words =
  /^cannot (?:pull "127\.0\.0\.1:\d+\/a\/b:latest"|load "\/.*"): .*(cannot [a-z ]+".*at "\/.*": no space left on device \(ENOSPC\)|meta\.db": no space left on device)$/;

/**
 * Pulls or loads an image with each of these rooms. One that fails says why, leaves nothing half, and on the full disk another
 * image can be removed and collected; with space again the same pull brings what it should. Answers how many failed.
 */
export async function sweepFullDisk(
  rooms: readonly Room[],
  verb: "pull" | "load" = "pull",
): Promise<number> {
  await using home = await scratch({ prefix: "sweep" });
  const archive = await home.folder("image");
  const image = await sweptImage(archive, "swept");
  const other = await sweptImage(await home.folder("other"), "other");
  const reference = await referenceLayers(await home.folder("reference"), image);
  await using registry = await serveSwept(image);
  await using others = await serveSwept(other);
  await using room = await sweptRoom();
  await using library = await openSwept(room.root);
  const { images, content, snapshotter } = library;
  const bring = () =>
    verb === "pull"
      ? images.pull(`${registry.host}/a/b`, call())
      : images.load(archive, { name: "loaded", ...call() });
  let failed = 0;
  for (const left of rooms) {
    await images.pull(`${others.host}/other`, call());
    await snapshotter.cleanup(call());
    room.leave(left);
    const failure = await bring().then(
      () => undefined,
      (error: unknown) => error,
    );
    const what = JSON.stringify(left);
    if (failure !== undefined) {
      failed += 1;
      assert.ok(isFault(failure, "RESOURCE_EXHAUSTED"), `${what}: ${inspect(failure)}`);
      assert.match(failure.message, words, what);
      await nothingHalf(room.root, library, image);
      assert.equal(images.find(image.id), undefined, what);
    }
    await images.remove(other.id, call());
    assert.equal(content.info(namespace, other.manifest.digest as never), undefined, what);
    room.enlarge();
    await bring();
    assertWhole(library, image, reference);
    await images.remove(image.id, call());
    await nothingHalf(room.root, library, image);
    assert.deepEqual(content.list(namespace), [], what);
    assert.deepEqual(await content.ingests(namespace), [], what);
  }
  return failed;
}
