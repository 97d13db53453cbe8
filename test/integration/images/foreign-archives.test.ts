// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { RuntimeFault } from "../../../src/base/errors.ts";
import { digestOf } from "../../../src/content/digest.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type RawMember, tarBytes } from "../../support/tar-bytes.ts";
import { ImageLayout, oci, ourPlatform, theirPlatform } from "./image-layout.ts";
import { openLibrary } from "./library.ts";

// Archives as other tools write them: what of their lists is loaded, under which names, and in which words they are
// refused.

const call = () => ({ signal: AbortSignal.timeout(240_000) });
const skip = process.getuid?.() === 0 ? false : "needs root";

const named = (ref: string) => ({ annotations: { "org.opencontainers.image.ref.name": ref } });

/** What `docker save` writes, as a tar archive: a list of images, the parts of the first one, and what else there is. */
function saved(images: unknown, members: readonly RawMember[] = []): Buffer {
  const layer = tarBytes([{ name: "words", content: "saved" }]);
  const diffIds = [digestOf(layer), digestOf(layer)];
  const config = {
    ...ourPlatform,
    config: { Labels: { words: "saved" } },
    rootfs: { diff_ids: diffIds },
  };
  return tarBytes([
    { name: "manifest.json", content: JSON.stringify(images) },
    { name: "config.json", content: JSON.stringify(config) },
    { name: "one/layer.tar", content: layer },
    ...members,
  ]);
}

const image = (RepoTags: unknown, second = "one/layer.tar") => ({
  Config: "config.json",
  RepoTags,
  Layers: ["one/layer.tar", second],
});

/** Archives by their bytes, and the names that are told. */
const archives: readonly { what: string; bytes: () => Buffer; told: readonly string[] }[] = [
  {
    what: "one of several names, with a layer twice",
    bytes: () => saved([image(["local/a:1", "local/a:2"])]),
    told: ["docker.io/local/a:1", "docker.io/local/a:2"],
  },
  {
    what: "one whose second layer is an absolute link",
    bytes: () =>
      saved(
        [image(["a:1"], "two/layer.tar")],
        [{ name: "two/layer.tar", flag: "2", link: "/one/layer.tar" }],
      ),
    told: ["docker.io/library/a:1"],
  },
  {
    what: "one whose second layer is a hard link with a dot",
    bytes: () =>
      saved(
        [image(["a:1"], "./two/layer.tar")],
        [{ name: "./two/layer.tar", flag: "1", link: "./one/layer.tar" }],
      ),
    told: ["docker.io/library/a:1"],
  },
  {
    what: "one with absolute names",
    bytes: () =>
      saved([image(["a:1"], "two")], [{ name: "/two", flag: "2", link: "one/../one/layer.tar" }]),
    told: ["docker.io/library/a:1"],
  },
  { what: "one of no name", bytes: () => saved([image(null)]), told: [] },
  { what: "one of a name that is none", bytes: () => saved([image(["<none>:<none>"])]), told: [] },
];

for (const { what, bytes, told } of archives) {
  for (const [how, pack] of [
    ["plain", (plain: Buffer) => plain],
    ["gzip", (plain: Buffer) => gzipSync(plain)],
    ["zstd", (plain: Buffer) => zstdCompressSync(plain)],
  ] as const) {
    test(`an archive of docker save, ${what}, ${how}, is loaded`, { skip }, async () => {
      await using home = await scratch({ prefix: "archive" });
      const file = await written(home, "images.tar", pack(bytes()));
      const { images } = await openLibrary(await home.folder("root"));
      const names: string[] = [];
      const onImage = (_image: unknown, its: readonly string[]) => void names.push(...its);
      const all = await images.load(file, { onImage, ...call() });
      assert.deepEqual(names, told);
      assert.deepEqual(
        all.map(({ layers }) => layers),
        [2],
      );
    });
  }
}

const loaded: readonly {
  readonly what: string;
  readonly make: (layout: ImageLayout) => Promise<void>;
  readonly name?: string;
  /** Words of each image, and the names that are told. */
  readonly is: readonly (readonly [words: string, ...names: string[]])[];
}[] = [
  {
    what: "a list of platforms without names",
    make: async (layout) =>
      layout.list([
        { ...(await layout.image("theirs")), platform: theirPlatform },
        { ...(await layout.image("ours")), platform: ourPlatform },
      ]),
    name: "local/app:1",
    is: [["ours", "docker.io/local/app:1"]],
  },
  {
    what: "a list of platforms of one name",
    make: async (layout) =>
      layout.list([
        { ...(await layout.image("theirs")), platform: theirPlatform, ...named("quay.io/a/b:1") },
        { ...(await layout.image("ours")), platform: ourPlatform, ...named("quay.io/a/b:1") },
      ]),
    is: [["ours", "quay.io/a/b:1"]],
  },
  {
    what: "a list with attestations, null, and what is no image",
    make: async (layout) => {
      const attestation = await layout.image("attestation");
      await layout.list([
        null,
        { ...attestation, platform: { os: "unknown", architecture: "unknown" } },
        { ...attestation, annotations: { "vnd.docker.reference.type": "attestation-manifest" } },
        { ...(await layout.image("signature")), mediaType: "application/vnd.other+json" },
        { ...(await layout.image("ours")), platform: ourPlatform, ...named("1.0") },
      ]);
    },
    name: "local/app",
    is: [["ours", "docker.io/local/app:latest"]],
  },
  {
    what: "two images of names of their own",
    make: async (layout) =>
      layout.list([
        { ...(await layout.image("one")), ...named("quay.io/a/one:1") },
        { ...(await layout.image("two")), ...named("quay.io/a/two:1") },
      ]),
    is: [
      ["one", "quay.io/a/one:1"],
      ["two", "quay.io/a/two:1"],
    ],
  },
  {
    what: "a layer with members of unknown types",
    make: async (layout) =>
      layout.list([
        await layout.image("odd", [
          { name: "dump", flag: "D", content: "names" },
          { name: "volume", flag: "M", content: "x".repeat(513) },
          { name: "after", content: "after" },
        ]),
      ]),
    is: [["odd"]],
  },
];

for (const { what, make, name, is } of loaded) {
  test(`${what} is loaded`, { skip }, async () => {
    await using home = await scratch({ prefix: "archive" });
    const layout = new ImageLayout(await home.folder("layout"));
    await make(layout);
    const { images, layer } = await openLibrary(await home.folder("root"));
    const told: string[][] = [];
    const all = await images.load(layout.folder, {
      ...call(),
      ...(name && { name }),
      onImage: ({ config }, names) => told.push([config.labels["words"] ?? "", ...names]),
    });
    assert.deepEqual(told, is);
    for (const { chainId, config } of all) {
      const file = path.join(layer(chainId), "words");
      assert.equal(await readFile(file, "utf8"), config.labels["words"]);
    }
    if (!what.includes("unknown types")) return;
    const after = path.join(layer(all[0]?.chainId ?? ""), "after");
    assert.equal(await readFile(after, "utf8"), "after");
  });
}

test("the names that are told are those of the archive, not others of the same image", {
  skip,
}, async () => {
  await using home = await scratch({ prefix: "archive" });
  const layout = new ImageLayout(await home.folder("layout"));
  await layout.list([await layout.image("same")]);
  const { images } = await openLibrary(await home.folder("root"));
  const told: (readonly string[])[] = [];
  for (const name of ["local/a:1", "local/b:1"]) {
    await images.load(layout.folder, {
      name,
      onImage: (_image, names) => told.push(names),
      ...call(),
    });
  }
  assert.deepEqual(told, [["docker.io/local/a:1"], ["docker.io/local/b:1"]]);
  assert.equal(images.list()[0]?.repoTags.length, 2);
});

const xz = Buffer.from("fd377a585a000004", "hex");
const bzip2 = Buffer.from("425a6839314159265359", "hex");

async function written(home: Scratch, name: string, bytes: Buffer): Promise<string> {
  const file = path.join(home.path, name);
  await writeFile(file, bytes);
  return file;
}

const refused: readonly {
  readonly what: string;
  /** Answers what is to be loaded. */
  readonly make: (layout: ImageLayout, home: Scratch) => Promise<string>;
  readonly code: string;
  readonly says: RegExp;
}[] = [
  {
    what: "a layout of no images",
    make: async (layout) => (await layout.list([]), layout.folder),
    code: "INVALID_ARGUMENT",
    says: /index\.json of the archive has no images$/,
  },
  {
    what: "a layout of attestations alone",
    make: async (layout) => {
      const platform = { os: "unknown", architecture: "unknown" };
      await layout.list([{ ...(await layout.image("x")), platform }]);
      return layout.folder;
    },
    code: "INVALID_ARGUMENT",
    says: /index\.json of the archive has no images$/,
  },
  {
    what: "a layout for others",
    make: async (layout) => {
      await layout.list([{ ...(await layout.image("x")), platform: theirPlatform }]);
      return layout.folder;
    },
    code: "NOT_FOUND",
    says: /^archive has no image for linux\/\w+, only for linux\/\w+$/,
  },
  {
    what: "what docker save writes, of no images",
    make: async (layout) => {
      await writeFile(path.join(layout.folder, "manifest.json"), "[]");
      return layout.folder;
    },
    code: "INVALID_ARGUMENT",
    says: /manifest\.json of the archive has no images$/,
  },
  {
    what: "an archive in xz",
    make: (_layout, home) => written(home, "images.tar.xz", xz),
    code: "INVALID_ARGUMENT",
    says: /^cannot load ".*images\.tar\.xz": it is compressed with xz, which is not read/,
  },
  {
    what: "an archive in bzip2",
    make: (_layout, home) => written(home, "images.tar.bz2", bzip2),
    code: "INVALID_ARGUMENT",
    says: /it is compressed with bzip2, which is not read/,
  },
  {
    what: "a layer in xz",
    make: async (layout) => {
      const config = { ...ourPlatform, rootfs: { diff_ids: [digestOf("plain")] } };
      await layout.list([await layout.manifest(config, xz)]);
      return layout.folder;
    },
    code: "INVALID_ARGUMENT",
    says: /cannot extract layer "sha256:\w+": it is compressed with xz/,
  },
  {
    what: "a saved layer in xz",
    make: async ({ folder }) => {
      const list = [{ Config: "config", Layers: ["layer.tar"] }];
      await writeFile(path.join(folder, "manifest.json"), JSON.stringify(list));
      await writeFile(path.join(folder, "config"), "{}");
      await writeFile(path.join(folder, "layer.tar"), xz);
      return folder;
    },
    code: "INVALID_ARGUMENT",
    says: /"layer\.tar" of the archive cannot be read: it is compressed with xz/,
  },
  {
    what: "an archive of Docker before 1.10",
    make: (_layout, home) =>
      written(home, "old.tar", tarBytes([{ name: "repositories", content: "{}" }])),
    code: "INVALID_ARGUMENT",
    says: /^cannot load ".*old\.tar": archive is in the format of Docker before 1\.10, /,
  },
  {
    what: "an archive that is cut off in a member",
    make: (_layout, home) =>
      written(home, "cut.tar", saved([image(["a:1"])]).subarray(0, 512 * 7 + 100)),
    code: "INVALID_ARGUMENT",
    says: /^cannot load ".*cut\.tar": tar archive is cut off, in "one\/layer\.tar"$/,
  },
  ...(["gzip", "zstd"] as const).map((how) => ({
    what: `an archive in ${how} that is cut off`,
    make: (_layout: ImageLayout, home: Scratch) => {
      const bytes = saved([image(["a:1"])]);
      const packed = how === "gzip" ? gzipSync(bytes) : zstdCompressSync(bytes);
      return written(home, `cut.${how}`, packed.subarray(0, packed.length - 40));
    },
    code: "INVALID_ARGUMENT",
    says: /^cannot load ".*cut\.\w+": it is cut off or damaged: unexpected end of file$/,
  })),
  {
    what: "an empty file",
    make: (_layout, home) => written(home, "empty.tar", Buffer.alloc(0)),
    code: "INVALID_ARGUMENT",
    says: /^cannot load ".*empty\.tar": it is empty$/,
  },
  {
    what: "a file that is no archive",
    make: (_layout, home) => written(home, "words", Buffer.from("no archive. ".repeat(100))),
    code: "INVALID_ARGUMENT",
    says: /^cannot load ".*words": not a tar archive/,
  },
  {
    what: "a layout whose index is no JSON",
    make: async ({ folder }) => {
      await writeFile(path.join(folder, "index.json"), "{");
      return folder;
    },
    code: "FAILED_PRECONDITION",
    says: /^cannot load ".*": index\.json is not JSON$/,
  },
  {
    what: "a layout whose only entry is an index of nothing",
    make: async (layout) => {
      const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }));
      await layout.list([await layout.store(index, `${oci}.index.v1+json`)]);
      return layout.folder;
    },
    code: "NOT_FOUND",
    says: /^index "sha256:\w+" lists no images$/,
  },
  {
    what: "a layout whose layer is cut off",
    make: async (layout) => {
      const image = await layout.image("cut");
      await layout.list([image]);
      await truncate(layout.file(image.layer), 100);
      return layout.folder;
    },
    code: "INVALID_ARGUMENT",
    says: /"blobs\/sha256\/\w+" of the archive has 100 bytes, not \d+: it is cut off or damaged$/,
  },
];

for (const { what, make, code, says } of refused) {
  test(`${what} is refused in words`, { skip }, async () => {
    await using home = await scratch({ prefix: "archive" });
    const file = await make(new ImageLayout(await home.folder("layout")), home);
    const { images } = await openLibrary(await home.folder("root"));
    await assert.rejects(images.load(file, call()), (error: unknown) => {
      assert.ok(error instanceof RuntimeFault, String(error));
      assert.match(error.message, says);
      assert.equal(error.code, code);
      return true;
    });
  });
}
