// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { changeRoot, changeRootTo } from "../../../src/base/os/inode.ts";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import { TarReader } from "../../../src/images/tar/tar-reader.ts";
import { LayerExtractor } from "../../../src/images/unpack/layer-extractor.ts";
import { usageOf } from "../../../src/images/unpack/tree-usage.ts";
import { tarBytes } from "../../support/tar-bytes.ts";
import { describe, LayerModel, type Member, Refused, Unknown } from "../models/layer-model.ts";
import { type FuzzTarget, refused } from "../target.ts";

// An input is a recipe for a few layers, out of names so few that they meet: a byte a member's type, one how many
// parts its name has, one each part; the same for where a link leads. 0xff begins the next layer. The layers are put
// into one folder, as the native snapshotter does, and it is held against a model. It needs root, for chroot.

const names = [
  "a",
  "b",
  "c",
  ".wh.a",
  ".wh.b",
  ".wh.c",
  ".wh..wh..opq",
  "..",
  ".",
  "",
  ".wh..wh.x",
  ".wh..",
  "d",
];
const types = ["file", "directory", "symlink", "hardlink", "fifo", "file", "directory"] as const;
const modes = [0o644, 0o755, 0o700, 0o4755];
const mostMembers = 40;

export const target: FuzzTarget = {
  name: "layers",
  parses: [
    "src/images/unpack/layer-extractor.ts",
    "src/images/unpack/layer-tree.ts",
    "src/images/unpack/known-folders.ts",
    "src/images/unpack/folder-contents.ts",
    "src/images/unpack/entry-path.ts",
    "src/images/unpack/tree-usage.ts",
  ],
  maxBytes: 160,
  dictionary: [
    "\xff",
    "\x00\x01\x00",
    "\x01\x01\x00",
    "\x00\x02\x00\x01",
    "\x01\x02\x00\x01",
    "\x00\x01\x03",
    "\x00\x02\x00\x06",
    "\x02\x01\x00\x01\x01",
    "\x03\x01\x02\x01\x00",
  ],
  *seeds() {
    // A file becomes a folder, and a folder a file.
    yield recipe(
      [
        [0, "a"],
        [1, "b"],
        [0, "b/c"],
      ],
      [
        [0, "a/b"],
        [0, "b"],
      ],
    );
    // Deletions, before and after what the layer itself has there.
    yield recipe(
      [
        [0, "a/b"],
        [0, "a/c"],
      ],
      [
        [0, "a/.wh..wh..opq"],
        [0, "a/d"],
      ],
      [
        [0, "a/b"],
        [0, ".wh.a"],
      ],
    );
    yield recipe(
      [
        [0, "a/b/c"],
        [0, "a/d"],
      ],
      [
        [0, "a/b/d"],
        [0, "a/.wh..wh..opq"],
      ],
      [[0, "a/.wh.b"]],
    );
    // A way that leads up by a link, and goes with what is put at its end.
    yield recipe([
      [1, "a"],
      [2, "a/b", ".."],
      [0, "a/b/c"],
      [0, "a/b/a"],
      [0, "a/b/d"],
    ]);
    // Links to folders, and what comes below them.
    yield recipe(
      [
        [1, "a"],
        [2, "b", "a"],
        [0, "b/c"],
      ],
      [
        [0, "b/.wh.c"],
        [2, "a/d", "/b"],
        [0, "a/d/a"],
      ],
    );
    yield recipe(
      [
        [0, "a"],
        [3, "b", "a"],
        [4, "c"],
      ],
      [
        [3, "a", "b"],
        [3, "d", "c"],
      ],
      [[0, "b"]],
    );
    yield recipe([
      [2, "a", "b"],
      [2, "b", "a"],
      [0, "a/c"],
    ]);
    yield recipe([[0, "../a"]], [[0, "a/.."]], [[0, ".wh.."]], [[1, "./"]]);
  },
  run(input) {
    if (process.getuid?.() !== 0) return;
    const layers = layersOf(input);
    const model = new LayerModel();
    const own = path.resolve("layers");
    const root = path.join(own, "root");
    mkdirSync(root, { recursive: true });
    writeFileSync(path.join(own, "canary"), "canary");
    try {
      for (const layer of layers) {
        const wanted = outcome(() => model.apply(layer));
        if (wanted === "unknown") {
          extracted(root, layer);
          break;
        }
        assert.equal(
          extracted(root, layer),
          wanted,
          `${wanted} is the layer ${JSON.stringify(layer)}`,
        );
        if (wanted === "refused") break;
        assert.deepEqual(linesOf(root), model.lines());
      }
      assert.deepEqual(readdirSync(own).toSorted(), ["canary", "root"]);
      assert.equal(readFileSync(path.join(own, "canary"), "utf8"), "canary");
    } finally {
      removeFolderSync(own);
    }
  },
};

type Outcome = "taken" | "refused" | "unknown";

function outcome(run: () => void): Outcome {
  try {
    run();
    return "taken";
  } catch (error) {
    if (error instanceof Refused) return "refused";
    if (error instanceof Unknown) return "unknown";
    throw error;
  }
}

function extracted(root: string, layer: readonly Member[]): Outcome {
  const archive = tarBytes(
    layer.map(({ name, type, link, mode, content }) => ({
      name,
      flag: { file: "0", hardlink: "1", symlink: "2", directory: "5", fifo: "6" }[type],
      link,
      mode,
      content: type === "file" ? content : "",
      // As writers of old do, which tells a folder by its name alone.
      mtime: 1_700_000_000,
    })),
  );
  const before = process.cwd();
  const umask = process.umask(0);
  const hostRoot = openSync("/", "r");
  const inside = lstatSync(root).ino;
  try {
    changeRoot(root);
    process.chdir("/");
    // What follows removes what it is told to, below the root.
    if (lstatSync("/").ino !== inside || existsSync("/proc/self")) throw new Error("not inside");
    const extractor = new LayerExtractor({ whiteouts: "remove" });
    const reader = new TarReader(extractor);
    reader.push(archive);
    reader.finish();
    if (extractor.finish().length > 0) return "refused";
    const { inodes } = usageOf(() => {});
    assert.ok(inodes >= 1 && inodes <= 1 + mostMembers * 24);
    return "taken";
  } catch (error) {
    refused(error, "INVALID_ARGUMENT");
    return "refused";
  } finally {
    changeRootTo(hostRoot);
    closeSync(hostRoot);
    process.chdir(before);
    process.umask(umask);
  }
}

function linesOf(root: string): string[] {
  const lines: string[] = [];
  const list = (folder: string): void => {
    for (const name of readdirSync(path.join(root, folder))) {
      const at = `${folder}/${name}`;
      const file = path.join(root, at);
      const stat = lstatSync(file);
      const type = stat.isDirectory()
        ? "directory"
        : stat.isSymbolicLink()
          ? "symlink"
          : stat.isFIFO()
            ? "fifo"
            : "file";
      const text =
        type === "symlink" ? readlinkSync(file) : type === "file" ? readFileSync(file, "utf8") : "";
      lines.push(describe(at, type, stat.mode & 0o7777, text));
      if (type === "directory") list(at);
    }
  };
  list("");
  return lines.toSorted();
}

function layersOf(input: Buffer): Member[][] {
  const layers: Member[][] = [[]];
  let at = 0;
  const next = (): number => input[at++] ?? 0;
  const name = (): string => {
    const parts = Array.from(
      { length: 1 + (next() % 4) },
      () => names[next() % names.length] ?? "",
    );
    return parts.join("/");
  };
  for (let members = 0; at < input.length && members < mostMembers; members += 1) {
    const byte = next();
    if (byte === 0xff) {
      layers.push([]);
      continue;
    }
    const type = types[byte % types.length] ?? "file";
    const isLink = type === "symlink" || type === "hardlink";
    layers.at(-1)?.push({
      type,
      name: name(),
      link: isLink ? (byte >= 128 ? "/" : "") + name() : "",
      mode: modes[(byte >> 3) % modes.length] ?? 0,
      content: `content of ${members}`,
    });
  }
  return layers;
}

type Step = readonly [type: number, name: string, link?: string];

function recipe(...layers: readonly (readonly Step[])[]): Buffer {
  const spell = (name: string): number[] => {
    const parts = name.split("/");
    return [parts.length - 1, ...parts.map((part) => Math.max(0, names.indexOf(part)))];
  };
  const bytes = layers.flatMap((layer) => [
    ...layer.flatMap(([type, name, link]) => [
      type,
      ...spell(name),
      ...(link === undefined ? [] : spell(link)),
    ]),
    0xff,
  ]);
  return Buffer.from(bytes);
}
