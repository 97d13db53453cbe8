// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type Scratch, scratch } from "../../support/scratch.ts";
import type { ScriptedRegistry } from "../../support/scripted-registry.ts";
import {
  assertWhole,
  nothingHalf,
  referenceLayers,
  type SweptImage,
  serveSwept,
  sweptImage,
} from "./disk-sweep.ts";
import { type Library, namespace, openLibrary } from "./library.ts";

// Pulls, removals and collections of one image at once: whatever comes first, what is listed is whole, and nothing is
// left that nobody lists.

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });

interface Room extends Library {
  readonly host: string;
  readonly pull: (name: string) => Promise<unknown>;
}

/** Done at the n-th request of a pull of "a/b". */
const others: Readonly<Record<string, (room: Room, image: SweptImage) => Promise<unknown>>> = {
  "its removal": ({ images }, { id }) => images.remove(id, call()),
  "a collection": ({ images }) => images.collectGarbage(call()),
  "a pull by another name": ({ pull }) => pull("c/d"),
  "a pull by another name, and its removal": async ({ pull, images, host }) => {
    await pull("c/d");
    await images.remove(`${host}/c/d`, call());
  },
  "the same pull, given up": async ({ images, host }) => {
    const end = new AbortController();
    const pulling = images.pull(`${host}/a/b`, { signal: end.signal });
    setImmediate(() => end.abort());
    await pulling.catch(() => {});
  },
};

suite("beside a pull", { skip }, () => {
  let home: Scratch;
  let image: SweptImage;
  let reference: string[];
  let library: Library;
  let registry: ScriptedRegistry;
  let atRequest: (() => void) | undefined;

  before(async () => {
    home = await scratch({ prefix: "side" });
    image = await sweptImage(await home.folder("image"), "side by side");
    reference = await referenceLayers(await home.folder("reference"), image);
    library = await openLibrary(await home.folder("library"), { keepExtractorsMs: 3_000 });
    registry = await serveSwept(image, () => {
      atRequest?.();
      return false;
    });
  });
  after(async () => {
    await registry?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  for (const [what, act] of Object.entries(others)) {
    test(`${what} spoils nothing, whenever it comes`, async () => {
      const { images, content } = library;
      const { host } = registry;
      const room: Room = {
        ...library,
        host,
        pull: (name) => images.pull(`${host}/${name}`, call()),
      };
      for (const nth of [1, 3, 5]) {
        let left = nth;
        const done = Promise.withResolvers<void>();
        atRequest = () => {
          left -= 1;
          if (left === 0) act(room, image).then(() => done.resolve(), done.reject);
        };
        const pulled = await room.pull("a/b").catch((error: unknown) => error);
        atRequest = undefined;
        if (left <= 0) await done.promise;
        assert.ok(!(pulled instanceof Error), `${nth}: ${String(pulled)}`);
        await nothingHalf(`${home.path}/library`, library, image);
        if (images.find(image.id)) assertWhole(library, image, reference);
        await room.pull("a/b");
        assertWhole(library, image, reference);
        await images.remove(image.id, call());
        assert.deepEqual([images.list(), content.list(namespace)], [[], []], `${nth}`);
      }
    });
  }
});
