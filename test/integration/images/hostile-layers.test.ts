// SPDX-License-Identifier: Apache-2.0
// Layers that want too much, or want it in a way that nobody expects, through the real unpacker.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { lstat, readdir, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { RuntimeFault } from "../../../src/base/errors.ts";
import { extractLayer } from "../../../src/images/unpack/extract-layer.ts";
import { type RawImage, writeRawLayout } from "../../support/raw-image.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type RawMember, tarBytes } from "../../support/tar-bytes.ts";
import { openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });
const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const layer = (members: readonly RawMember[]) => ({ blob: tarBytes(members) });

async function load(home: Scratch, name: string, ...images: RawImage[]) {
  const layout = await home.folder(`${name}-layout`);
  await writeRawLayout(layout, images);
  const library = await openLibrary(await home.folder(name));
  const loaded = await library.images.load(layout, { name: "example.test/odd", ...call() });
  return { ...library, loaded };
}

test("folders that a layer only implies look as below, however many they are", {
  skip,
}, async () => {
  await using home = await scratch({ prefix: "hos", inMemory: true });
  const count = 5000;
  const folders = numbers(count).map((at) => `d${at}-${"x".repeat(30)}`);
  const odd = { flag: "5", uid: 7, gid: 8, mode: 0o750, mtime: 1_000_000 };
  const base = layer(folders.map((name) => ({ name: `${name}/`, ...odd })));
  const top = layer(folders.map((name) => ({ name: `${name}/new/file`, content: "x" })));
  const {
    loaded,
    layer: folderOf,
    snapshotter,
  } = await load(home, "implied", {
    tag: "odd",
    layers: [base, top],
  });
  const tree = folderOf(loaded[0]?.chainId ?? "");
  for (const name of [folders[0], folders[count / 2], folders.at(-1)]) {
    const { uid, gid, mode, mtimeMs } = await stat(path.join(tree, name ?? ""));
    assert.deepEqual([uid, gid, mode & 0o777, mtimeMs], [7, 8, 0o750, 1_000_000_000]);
    const inner = await stat(path.join(tree, name ?? "", "new"));
    assert.deepEqual([inner.uid, inner.mode & 0o777], [0, 0o755]);
  }
  assert.deepEqual(await readdir(path.join(snapshotter.root, "implicit-folders")), []);
});

/** Extracts a layer in memory, where a file costs next to nothing. */
async function extract(
  members: readonly RawMember[] | Buffer,
  check: (root: string) => Promise<void> = async () => {},
): Promise<void> {
  await using home = await scratch({ prefix: "hos", inMemory: true });
  const root = await home.folder("root");
  const blob = path.join(home.path, "layer");
  await writeFile(blob, Buffer.isBuffer(members) ? members : tarBytes(members));
  await extractLayer({ blob, root, implicitList: path.join(home.path, "list") }, call());
  await check(root);
}

test("folders that files replace cost no more than they are", { skip }, async () => {
  // Each file in place of a folder made the old code look at all folders there were.
  const folders: RawMember[] = numbers(60_000).map((at) => ({ name: `d${at}/`, flag: "5" }));
  const files: RawMember[] = folders.map(({ name }) => ({ name: name.slice(0, -1) }));
  await extract([...folders, ...files], async (root) => {
    assert.equal((await readdir(root)).length, folders.length);
    assert.ok((await lstat(path.join(root, "d59999"))).isFile());
  });
});

const long = (length: number): string => `${"d".repeat(100)}/`.repeat(length / 101);
const refused: readonly { name: string; layer: () => Buffer; code: string; says: RegExp }[] = [
  {
    name: "a name of 300 bytes",
    layer: () => tarBytes([{ name: "a", pax: { path: `d/${"n".repeat(300)}` } }]),
    code: "INVALID_ARGUMENT",
    says: /name of \d+ bytes, which is too long: ".*…"/,
  },
  {
    name: "a path beyond PATH_MAX",
    layer: () => tarBytes([{ name: "a", pax: { path: `${long(5000)}file` } }]),
    code: "INVALID_ARGUMENT",
    says: /too long/,
  },
  {
    name: "a path beyond PATH_MAX through links",
    layer: () =>
      tarBytes([
        { name: "a", flag: "2", pax: { linkpath: long(2500) } },
        { name: "b", flag: "2", pax: { linkpath: `a/${long(2500)}` } },
        { name: "b/file" },
      ]),
    code: "INVALID_ARGUMENT",
    says: /too long/,
  },
  {
    name: "a link's target beyond PATH_MAX",
    layer: () => tarBytes([{ name: "a", flag: "2", pax: { linkpath: long(5000) } }]),
    code: "INVALID_ARGUMENT",
    says: /ENAMETOOLONG/,
  },
  {
    name: "an owner that no system has",
    layer: () => tarBytes([{ name: "a", pax: { uid: "4294967296" } }]),
    code: "INVALID_ARGUMENT",
    says: /uid/,
  },
  {
    name: "an attribute that is too long",
    layer: () =>
      tarBytes([{ name: "a", pax: { [`SCHILY.xattr.user.${"n".repeat(300)}`]: "value" } }]),
    code: "INVALID_ARGUMENT",
    says: /ERANGE/,
  },
  {
    name: "a sparse file of petabytes",
    layer: () =>
      tarBytes([
        {
          name: "s",
          pax: { "GNU.sparse.size": String(2 ** 52), "GNU.sparse.map": "0,0" },
        },
      ]),
    code: "RESOURCE_EXHAUSTED",
    says: /too large/,
  },
  {
    name: "something after its gzip",
    layer: () => Buffer.concat([gzipSync(tarBytes([{ name: "a" }])), Buffer.from("rubbish")]),
    code: "INVALID_ARGUMENT",
    says: /header/,
  },
  {
    name: "half of its gzip",
    layer: () =>
      gzipSync(tarBytes([{ name: "a", content: randomBytes(10_000) }])).subarray(0, 9000),
    code: "INVALID_ARGUMENT",
    says: /end of file/,
  },
  {
    name: "a zstd window of 2 GiB",
    layer: () => {
      const frame = zstdCompressSync(tarBytes([{ name: "a" }]), {
        params: { [constants.ZSTD_c_windowLog]: 20 },
      });
      frame[4] = 0x00; // not one segment
      return Buffer.concat([frame.subarray(0, 5), Buffer.from([21 << 3]), frame.subarray(5)]);
    },
    code: "INVALID_ARGUMENT",
    says: /zstd window is larger than 128 MiB: compress it with --long=27 or less/,
  },
];

for (const { name, layer: bytes, code, says } of refused) {
  test(`a layer with ${name} is refused`, { skip }, async () => {
    await assert.rejects(extract(bytes()), (error: unknown) => {
      assert.ok(error instanceof RuntimeFault, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, says);
      assert.ok(error.message.length < 1100);
      return true;
    });
  });
}

test("a layer in a hundred thousand gzip members is one layer", { skip }, async () => {
  const empty = Buffer.concat(numbers(50_000).map(() => gzipSync("")));
  const plain = tarBytes([{ name: "a", content: "x".repeat(20_000) }]);
  const parts = numbers(plain.length / 512).map((at) => plain.subarray(at * 512, at * 512 + 512));
  const members = parts.map((part) => gzipSync(part));
  await extract(Buffer.concat([empty, ...members, empty]), async (root) => {
    assert.equal((await stat(path.join(root, "a"))).size, 20_000);
  });
});
