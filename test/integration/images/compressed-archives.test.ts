// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { RuntimeFault } from "../../../src/base/errors.ts";
import { digestOf } from "../../../src/content/digest.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { mountSmallDisk, type SmallDisk } from "../../support/small-disk.ts";
import { type RawMember, tarBytes } from "../../support/tar-bytes.ts";
import { ImageLayout, theirPlatform } from "./image-layout.ts";
import { type Library, namespace, openLibrary } from "./library.ts";

// Compressed archives are inflated as they are read: what of them belongs to no image never lies on any disk, wherever
// in the archive it says what belongs to one.

const call = () => ({ signal: AbortSignal.timeout(240_000) });
const skip = process.getuid?.() === 0 ? false : "needs root";
const mib = 1024 * 1024;
/** Four times the disk. */
const bombBytes = 256 * mib;

const packings = {
  gzip: (plain: Buffer) => gzipSync(plain, { level: 1 }),
  "gzip of several members": (plain: Buffer) =>
    Buffer.concat(pieces(plain).map((one) => gzipSync(one, { level: 1 }))),
  zstd: (plain: Buffer) => zstdCompressSync(plain),
  "zstd of several frames": (plain: Buffer) =>
    Buffer.concat(pieces(plain).map((one) => zstdCompressSync(one))),
};

function pieces(plain: Buffer): Buffer[] {
  const length = Math.ceil(plain.length / 3);
  return [0, 1, 2].map((at) => plain.subarray(at * length, (at + 1) * length));
}

/** The refs of what is written into a store, and how many bytes. */
function watched({ content }: Library): { readonly written: number[] } {
  const written: number[] = [];
  const write = content.writer.bind(content);
  Object.assign(content, {
    writer: async (...given: Parameters<typeof write>) => {
      const writer = await write(...given);
      const commit = writer.commit.bind(writer);
      writer.commit = (options) => {
        written.push(Number(writer.offsetBytes));
        return commit(options);
      };
      return writer;
    },
  });
  return { written };
}

/** A layout as a tar archive, with its documents at the end or at the start. */
async function packed(layout: ImageLayout, order: "first" | "last"): Promise<RawMember[]> {
  const blobs = path.join(layout.folder, "blobs/sha256");
  const members = await Promise.all(
    (await readdir(blobs)).map(async (name) => ({
      name: `blobs/sha256/${name}`,
      content: await readFile(path.join(blobs, name)),
    })),
  );
  const index = {
    name: "index.json",
    content: await readFile(path.join(layout.folder, "index.json")),
  };
  return order === "first" ? [index, ...members] : [...members, index];
}

async function stored(home: Scratch, name: string, bytes: Buffer): Promise<string> {
  const file = path.join(home.path, name);
  await writeFile(file, bytes);
  return file;
}

for (const [how, pack] of Object.entries(packings)) {
  for (const order of ["first", "last"] as const) {
    test(`of a layout in ${how}, its index ${order}, only what the image needs is stored`, {
      skip,
    }, async () => {
      await using home = await scratch({ prefix: "archive" });
      const layout = new ImageLayout(await home.folder("layout"));
      const large = randomBytes(3 * mib).toString("hex");
      const ours = await layout.image(`ours ${large}`);
      const theirs = await layout.image(`theirs ${large}`);
      await layout.list([{ ...theirs, platform: theirPlatform }, ours]);
      const members = [
        { name: "junk", content: Buffer.alloc(20 * mib) },
        ...(await packed(layout, order)),
      ];
      const file = await stored(home, "images.tar", pack(tarBytes(members)));
      const library = await openLibrary(await home.folder("root"));
      const { written } = watched(library);
      const [image] = await library.images.load(file, { name: "app:1", ...call() });
      assert.match(
        await readFile(path.join(library.layer(image?.chainId ?? ""), "words"), "utf8"),
        /^ours /,
      );
      assert.equal(written.length, 3);
      assert.ok(written.reduce((sum, one) => sum + one) < 7 * mib, String(written));
    });
  }
}

/** What `docker save` writes, with its list last: of two images that share a layer. */
function saved(layer: Buffer, ...more: RawMember[]): RawMember[] {
  const diffIds = [digestOf(layer)];
  const config = JSON.stringify({ rootfs: { diff_ids: diffIds } });
  const image = (name: string) => ({
    Config: "config.json",
    RepoTags: [name],
    Layers: ["one/layer.tar"],
  });
  return [
    { name: "one/layer.tar", content: layer },
    ...more,
    { name: "config.json", content: config },
    { name: "manifest.json", content: JSON.stringify([image("a:1"), image("b:1")]) },
  ];
}

test("a layer that two saved images share is stored once", { skip }, async () => {
  await using home = await scratch({ prefix: "archive" });
  const layer = tarBytes([{ name: "words", content: randomBytes(mib) }]);
  const junk = { name: "two/layer.tar", content: randomBytes(5 * mib) };
  const file = await stored(home, "saved.tgz", gzipSync(tarBytes(saved(layer, junk))));
  const library = await openLibrary(await home.folder("root"));
  const { written } = watched(library);
  const images = await library.images.load(file, call());
  assert.deepEqual(images[1]?.repoTags, ["docker.io/library/a:1", "docker.io/library/b:1"]);
  assert.deepEqual(
    written.filter((bytes) => bytes > mib),
    [layer.length],
  );
});

test("documents for which there is no room in memory are read again", { skip }, async () => {
  await using home = await scratch({ prefix: "archive" });
  const layout = new ImageLayout(await home.folder("layout"));
  const image = await layout.image("ours", [], { long: "x".repeat(2 * mib) });
  await layout.list([image]);
  const junk = Array.from({ length: 20 }, (_, at) => ({
    name: `junk-${at}.json`,
    content: `{"junk": "${"x".repeat(mib - 100)}"}`,
  }));
  const members = [...junk, ...(await packed(layout, "last"))];
  const file = await stored(home, "images.tgz", gzipSync(tarBytes(members)));
  const { images } = await openLibrary(await home.folder("root"));
  const [one] = await images.load(file, call());
  assert.equal(one?.config.labels["words"], "ours");
});

test("what comes after an archive's end is not read for ever", { skip }, async () => {
  await using home = await scratch({ prefix: "archive" });
  const layout = new ImageLayout(await home.folder("layout"));
  await layout.list([await layout.image("ours")]);
  const file = await stored(home, "images.tgz", gzipSync(tarBytes(await packed(layout, "last"))));
  const tail = gzipSync(Buffer.alloc(8 * mib));
  for (let time = 0; time < 100; time += 1) await appendFile(file, tail);
  await appendFile(file, "and something that is no gzip at all");
  const { images } = await openLibrary(await home.folder("root"));
  assert.equal((await images.load(file, call())).length, 1);
});

test("an image that is damaged in the archive leaves the one before it", { skip }, async () => {
  await using home = await scratch({ prefix: "archive" });
  const layout = new ImageLayout(await home.folder("layout"));
  const good = await layout.image("good");
  const bad = await layout.image("bad");
  await layout.list([good, bad]);
  const layer = await readFile(layout.file(bad.layer));
  await writeFile(
    layout.file(bad.layer),
    layer.map((byte) => byte ^ 1),
  );
  const file = await stored(home, "images.tgz", gzipSync(tarBytes(await packed(layout, "first"))));
  const library = await openLibrary(await home.folder("root"));
  const loaded: (string | undefined)[] = [];
  await assert.rejects(
    library.images.load(file, {
      onImage: ({ config }) => loaded.push(config.labels["words"]),
      ...call(),
    }),
    { code: "FAILED_PRECONDITION", message: /^cannot load .*: digest is .*, expected / },
  );
  assert.deepEqual(loaded, ["good"]);
  assert.equal(library.images.list().length, 1);
  assert.deepEqual(await library.content.ingests(namespace), []);
});

test("an archive that lacks a layer says which", { skip }, async () => {
  await using home = await scratch({ prefix: "archive" });
  const layout = new ImageLayout(await home.folder("layout"));
  const image = await layout.image("ours");
  await layout.list([image]);
  const hex = image.layer.digest.slice("sha256:".length);
  const members = (await packed(layout, "last")).filter(({ name }) => !name.includes(hex));
  const file = await stored(home, "images.tgz", gzipSync(tarBytes(members)));
  const { images } = await openLibrary(await home.folder("root"));
  await assert.rejects(images.load(file, call()), {
    code: "NOT_FOUND",
    message: `archive has no "blobs/sha256/${hex}"`,
  });
});

test("a load that is given up in the middle leaves nothing half written", { skip }, async () => {
  await using home = await scratch({ prefix: "archive" });
  const layout = new ImageLayout(await home.folder("layout"));
  await layout.list([await layout.image(randomBytes(8 * mib).toString("hex"))]);
  const file = await stored(home, "images.tgz", gzipSync(tarBytes(await packed(layout, "last"))));
  const { images, content } = await openLibrary(await home.folder("root"));
  const abort = new AbortController();
  const write = content.writer.bind(content);
  Object.assign(content, {
    writer: async (...given: Parameters<typeof write>) => {
      const writer = await write(...given);
      if (given[1].startsWith("import-")) abort.abort(new Error("given up"));
      return writer;
    },
  });
  await assert.rejects(images.load(file, abort), /given up/);
  assert.deepEqual(await content.ingests(namespace), []);
  assert.equal(await images.collectGarbage(call()), true);
  assert.deepEqual(content.list(namespace), []);
});

/** A file that inflates to a member of so many zeros, and what follows. */
function bomb(
  name: string,
  bytes: number,
  rest: readonly RawMember[],
  pack: (b: Buffer) => Buffer,
) {
  const header = tarBytes([{ name, size: bytes }]).subarray(0, 512);
  const zeros = pack(Buffer.alloc(16 * mib));
  const times = Array.from({ length: bytes / 16 / mib }, () => zeros);
  return Buffer.concat([pack(header), ...times, pack(tarBytes(rest))]);
}

async function smallDisk(home: Scratch): Promise<SmallDisk> {
  const target = await home.folder("disk");
  return mountSmallDisk("tmpfs", target, {
    bytes: bombBytes / 4,
    image: path.join(home.path, "image"),
  });
}

for (const how of ["gzip", "zstd"] as const) {
  test(`four times the disk of zeros in ${how} that no image needs is passed over`, {
    skip,
  }, async () => {
    await using home = await scratch({ prefix: "archive" });
    using disk = await smallDisk(home);
    const layout = new ImageLayout(path.join(disk.target, "layout"));
    await layout.list([await layout.image("ours")]);
    const bytes = bomb("junk", bombBytes, await packed(layout, "last"), packings[how]);
    const file = path.join(disk.target, "bomb");
    await writeFile(file, bytes);
    const { images } = await openLibrary(path.join(disk.target, "root"));
    assert.equal((await images.load(file, call())).length, 1);
  });

  test(`four times the disk of zeros in ${how} as a layer does not fill the disk`, {
    skip,
  }, async () => {
    await using home = await scratch({ prefix: "archive" });
    using disk = await smallDisk(home);
    const list = saved(Buffer.alloc(0)).slice(1);
    const file = path.join(disk.target, "bomb");
    await writeFile(file, bomb("one/layer.tar", bombBytes, list, packings[how]));
    const library = await openLibrary(path.join(disk.target, "root"));
    const { written } = watched(library);
    await assert.rejects(library.images.load(file, call()), (error: unknown) => {
      assert.ok(error instanceof RuntimeFault, String(error));
      assert.equal(error.code, "RESOURCE_EXHAUSTED");
      assert.match(
        error.message,
        /the disk is too full for "one\/layer\.tar" of the archive, which inflates to 268435456 bytes$/,
      );
      return true;
    });
    assert.deepEqual(written, []);
  });
}
