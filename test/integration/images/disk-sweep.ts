// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statfsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { silentLogger } from "../../../src/base/logger.ts";
import { mount } from "../../../src/base/os/mount.ts";
import { MountFlag } from "../../../src/base/os/mount-options.ts";
import { compareTrees } from "../../../src/images/unpack/compare-trees.ts";
import type { MetadataStore } from "../../../src/metadata/ports.ts";
import { openMetadata } from "../../../src/metadata/sqlite/open-metadata.ts";
import { type LayerEntry, writeOciLayout } from "../../support/oci-image.ts";
import { scratch } from "../../support/scratch.ts";
import {
  type Handler,
  type ScriptedImage,
  type ScriptedRegistry,
  serveImage,
} from "../../support/scripted-registry.ts";
import { mountSmallDisk } from "../../support/small-disk.ts";
import { until } from "../../support/until.ts";
import { type Library, namespace, openLibrary } from "./library.ts";

// What the sweeps over full disks and kills have in common: an image with something of all that a pull writes, a store
// whose disk has any room, and the look for what must not be left.

const call = () => ({ signal: AbortSignal.timeout(240_000) });
const pageBytes = 4096;

export interface SweptImage extends Pick<ScriptedImage, "id" | "manifest" | "blobs"> {
  /** Of its layers, base first. */
  readonly layers: readonly string[];
}

/** Layers with bytes that do not shrink, many files, folders that are implied, and some that replace others. */
export async function sweptImage(folder: string, words: string): Promise<SweptImage> {
  const noise = (name: string, kib: number): Buffer =>
    Buffer.concat(
      Array.from({ length: kib * 16 }, (_, at) =>
        createHash("sha512").update(`${words} ${name} ${at}`).digest(),
      ),
    );
  const base: LayerEntry[] = [
    { path: "etc/" },
    { path: "a/b/", mode: 0o700, uid: 5 },
    { path: "a/b/large", content: noise("large", 160) },
    { path: "gone", content: "gone" },
  ];
  const many = Array.from({ length: 40 }, (_, at) => ({
    path: `a/b/many/${at}`,
    content: noise(String(at), at % 8),
  }));
  const last: LayerEntry[] = [
    { path: ".wh.gone", content: "" },
    { path: "a/b/last", content: noise("last", 48) },
    { path: "a/link", symlink: "b/last" },
    { path: "a/b/hard", hardlink: "a/b/last" },
  ];
  const config = { Labels: { words } };
  const id = await writeOciLayout(folder, "x", { config, layers: [base, many, last] });
  const blobs = new Map<string, Buffer>();
  for (const name of await readdir(path.join(folder, "blobs/sha256"))) {
    blobs.set(`sha256:${name}`, await readFile(path.join(folder, "blobs/sha256", name)));
  }
  const index = JSON.parse(await readFile(path.join(folder, "index.json"), "utf8")) as {
    readonly manifests: readonly [SweptImage["manifest"]];
  };
  const [manifest] = index.manifests;
  const { layers } = JSON.parse(String(blobs.get(manifest.digest))) as {
    readonly layers: readonly { readonly digest: string }[];
  };
  return { id, manifest, blobs, layers: layers.map(({ digest }) => digest) };
}

export function serveSwept(image: SweptImage, first?: Handler): Promise<ScriptedRegistry> {
  return serveImage({ ...image, layer: image.layers[0] ?? "" }, first);
}

/** Folders of the image's layers as they must be, base first. */
export async function referenceLayers(folder: string, image: SweptImage): Promise<string[]> {
  await using registry = await serveSwept(image);
  const library = await openLibrary(folder);
  const { chainId } = await library.images.pull(`${registry.host}/a/b`, call());
  return library.snapshotter.directories(namespace, chainId).toReversed();
}

/** A tmpfs with the stores on it. */
export interface SweptRoom extends AsyncDisposable {
  readonly root: string;
  /** Leaves so many bytes, to a page, and so many inodes. */
  leave(room: { readonly bytes?: number; readonly inodes?: number }): void;
  /** Makes it as large as it was. */
  enlarge(): void;
}

const allBytes = 96 << 20;
const allInodes = 20_000;

export async function sweptRoom(): Promise<SweptRoom> {
  const home = await scratch({ prefix: "full" });
  const root = await home.folder("disk");
  const disk = mountSmallDisk("tmpfs", root, { bytes: allBytes, image: "" });
  const resize = (bytes: number, inodes: number): void =>
    mount({
      source: "tmpfs",
      target: root,
      type: "tmpfs",
      flags: MountFlag.remount,
      data: `size=${bytes},nr_inodes=${inodes}`,
    });
  return {
    root,
    leave: ({ bytes, inodes }) => {
      const { blocks, bfree, bsize, files, ffree } = statfsSync(root);
      const used = (blocks - bfree) * bsize;
      resize(
        bytes === undefined ? allBytes : used + Math.ceil(bytes / pageBytes) * pageBytes,
        inodes === undefined ? allInodes : files - ffree + inodes,
      );
    },
    enlarge: () => resize(allBytes, allInodes),
    [Symbol.asyncDispose]: async () => {
      disk[Symbol.dispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

export interface SweptLibrary extends Library, AsyncDisposable {}

/** The stores of a folder, with a database that is there too. */
export async function openSwept(root: string): Promise<SweptLibrary> {
  const log = silentLogger;
  const metadata: MetadataStore = await openMetadata({ path: path.join(root, "meta.db"), log });
  const library = await openLibrary(root, { metadata, keepExtractorsMs: 3_000 });
  return { ...library, [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose]() };
}

/** That all which is there is whole, and nothing else is: what a pull has left that did not end well. */
export async function nothingHalf(
  root: string,
  { content, snapshotter, images }: Library,
  { blobs }: SweptImage,
): Promise<void> {
  for (const { digest } of content.list(namespace)) {
    const bytes = readFileSync(content.pathOf(digest));
    assert.equal(`sha256:${createHash("sha256").update(bytes).digest("hex")}`, digest);
  }
  for (const { ref, offsetBytes } of await content.ingests(namespace)) {
    const blob = blobs.get(ref.replace("layer-", ""));
    assert.ok(blob, `an ingest that nobody goes on with: ${ref}`);
    assert.ok(offsetBytes <= BigInt(blob.length));
  }
  await until("only folders of layers are there", () => {
    const infos = snapshotter.list(namespace);
    const others = infos.filter(({ kind }) => kind !== "COMMITTED").map(({ name }) => name);
    assert.deepEqual(others, [], "an extraction is left");
    const folders = readdirSync(path.join(root, "snapshots", "snapshots"));
    assert.equal(folders.length, infos.length, folders.join(" "));
    return true;
  });
  assert.deepEqual(readdirSync(path.join(root, "snapshots", "implicit-folders")), []);
  for (const { id, chainId } of images.list()) assert.ok(snapshotter.stat(namespace, chainId), id);
}

/** That the image is there, its layers being those. */
export function assertWhole(
  { images, snapshotter }: Library,
  { id }: SweptImage,
  reference: readonly string[],
): void {
  const { chainId } = images.find(id) ?? {};
  assert.ok(chainId !== undefined, "the image is there");
  const folders = snapshotter.directories(namespace, chainId).toReversed();
  assert.equal(folders.length, reference.length);
  folders.forEach((found, at) => {
    assert.equal(
      compareTrees({ expected: reference[at] ?? "", found }, () => {}),
      undefined,
    );
  });
}
