// SPDX-License-Identifier: Apache-2.0
// Layers as odd tools write them, loaded as images: what a container of theirs finds.
import assert from "node:assert/strict";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { RuntimeFault } from "../../../src/base/errors.ts";
import { mount, unmount } from "../../../src/base/os/mount.ts";
import { MountFlag } from "../../../src/base/os/mount-options.ts";
import { type RawImage, writeRawLayout } from "../../support/raw-image.ts";
import { scratch } from "../../support/scratch.ts";
import { paxBytes, type RawMember, tarBytes } from "../../support/tar-bytes.ts";
import { namespace, openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });

const file = (name: string, content: string, rest: Partial<RawMember> = {}): RawMember => ({
  name,
  content,
  ...rest,
});
const folder = (name: string, rest: Partial<RawMember> = {}): RawMember => ({
  name,
  flag: "5",
  ...rest,
});
const link = (name: string, to: string): RawMember => ({ name, flag: "1", link: to });
const soft = (name: string, to: string): RawMember => ({ name, flag: "2", link: to });
const field = (at: number, hex: string) => ({
  patch: (header: Buffer) => void header.write(hex, at, hex.length / 2, "hex"),
});
const text = (at: number, words: string) => ({
  patch: (header: Buffer) => void header.write(words, at, "latin1"),
});
const [uidField, mtimeField] = [108, 136];
const owned = { mode: 0o640, uid: 5, gid: 6, mtime: 77 };

interface Kind {
  readonly what: string;
  readonly layers: readonly (readonly RawMember[])[];
  /** What is found, a line each; folders are not shown. */
  readonly finds: readonly string[];
  /** Times and owners, too. */
  readonly isWhole?: true;
}

const kinds: readonly Kind[] = [
  {
    what: "a hard link to what comes later",
    layers: [[link("b", "a"), file("a", "x")]],
    finds: ["a x", "b x =a"],
  },
  {
    what: "hard links to hard links that come later",
    layers: [[link("d", "c"), link("c", "b"), link("b", "a"), file("a", "x"), link("e", "d")]],
    finds: ["a x", "b x =a", "c x =a", "d x =a", "e x =a"],
  },
  {
    what: "a hard link to what is replaced later",
    layers: [[link("b", "a"), file("a", "1"), file("a", "2")]],
    finds: ["a 2", "b 2 =a"],
  },
  {
    what: "a hard link whose place another member takes",
    layers: [[link("b", "a"), file("b", "own"), file("a", "x")]],
    finds: ["a x", "b own"],
  },
  {
    what: "names and hard links that lead above the root",
    layers: [
      [
        file("d/../../up", "u"),
        file("../d/a", "x"),
        link("../../b", "../../d/a"),
        link("c", "/../b"),
      ],
      [link("e", "../../d/../../up"), file("../.wh.c", "")],
    ],
    finds: ["b x", "d/a x =b", "e u", "up u =e"],
  },
  {
    what: "hard links whose .. stands behind a link",
    layers: [
      [
        file("d/e/x", "x"),
        file("d/f", "inner"),
        file("f", "outer"),
        soft("l", "d/e"),
        link("b", "l/../f"),
      ],
    ],
    finds: ["b inner", "d/e/x x", "d/f inner =b", "f outer", "l -> d/e"],
  },
  {
    what: "a hard link through a link to what comes later",
    layers: [[soft("lib", "usr/lib"), link("b", "lib/a"), file("usr/lib/a", "x")]],
    finds: ["b x", "lib -> usr/lib", "usr/lib/a x =b"],
  },
  {
    what: "a hard link to itself",
    layers: [[file("a", "x"), link("a", "a"), link("a", "./d/../a")]],
    finds: ["a x"],
  },
  {
    what: "a hard link to itself through a link",
    layers: [[file("usr/a", "x"), soft("lib", "usr"), link("lib/a", "usr/a")]],
    finds: ["lib -> usr", "usr/a x"],
  },
  {
    what: "a hard link to a layer below",
    layers: [
      [folder("d/", { mtime: 9 }), file("d/a", "x", owned)],
      [link("d/b", "d/a"), link("c", "d/b")],
    ],
    finds: ["c x 5:6 640 77", "d/a x =c 5:6 640 77", "d/b x =c 5:6 640 77"],
    isWhole: true,
  },
  {
    what: "a hard link to the second layer below, by an absolute name",
    layers: [[file("e/a", "x", owned)], [file("other", "o")], [link("f/b", "/e/a")]],
    finds: ["e/a x", "f/b x =e/a", "other o"],
  },
  {
    what: "hard links to a link and a FIFO of a layer below",
    layers: [
      [soft("s", "to"), { name: "p", flag: "6" }],
      [link("t", "s"), link("q", "p")],
    ],
    finds: ["p ?", "q ? =p", "s -> to", "t -> to =s"],
  },
  {
    what: "a hard link to itself in a layer below",
    layers: [[file("a", "x")], [link("a", "a")]],
    finds: ["a x"],
  },
  ...linksBelow(),
  {
    what: "files with several names as aufs has them",
    layers: [
      [
        file(".wh..wh.aufs", ""),
        folder(".wh..wh.orph/"),
        folder("./.wh..wh.plnk/"),
        file("./.wh..wh.plnk/7.1", "linked", owned),
        link("a", ".wh..wh.plnk/7.1"),
        link("b", "./.wh..wh.plnk/7.1"),
        file("c", "c"),
      ],
      [file(".wh..wh.plnk/7.1", "other"), link("d", ".wh..wh.plnk/7.1")],
    ],
    finds: ["a linked", "b linked =a", "c c", "d other"],
  },
  {
    what: "aufs' notes in a folder",
    layers: [[file("d/.wh..wh.note", "x"), file("d/a", "x")]],
    finds: ["d/a x"],
  },
  {
    what: "members of types that nobody knows",
    layers: [[file("q", "body", { flag: "Q" }), file("v", "", { flag: "V" }), file("a", "x")]],
    finds: ["a x"],
  },
  {
    what: "a file without a name",
    layers: [[file("", "x"), file("a", "x")]],
    finds: ["a x"],
  },
  {
    what: "headers for all members",
    layers: [
      [
        file("g", "", {
          flag: "g",
          content: paxBytes([
            ["mtime", "5"],
            ["comment", "x"],
          ]),
        }),
        file("a", "x", { mtime: 4 }),
      ],
    ],
    finds: ["a x 0:0 755 4"],
    isWhole: true,
  },
  ...times(),
  ...owners(),
];

/** Hard links to a layer below, and what else their own layer has at either name. */
function linksBelow(): Kind[] {
  const usrMerged = [soft("lib", "usr/lib"), file("usr/lib/x", "x")];
  const replaced = [file("d/f", "f"), file("d/g", "g"), file("x", "x")];
  const cases: readonly (readonly [string, RawMember[], RawMember[], string[]])[] = [
    ["a file at its place", [file("x", "x")], [link("a", "x"), file("a", "own")], ["a own", "x x"]],
    [
      "a folder at its place",
      [file("x", "x")],
      [link("a", "x"), folder("a/"), file("a/b", "b")],
      ["a/b b", "x x"],
    ],
    [
      "a file in place of its folder",
      [file("x", "x")],
      [link("d/a", "x"), file("d", "own")],
      ["d own", "x x"],
    ],
    [
      "a link in place of its folder",
      [file("x", "x")],
      [link("d/a", "x"), soft("d", "x")],
      ["d -> x", "x x"],
    ],
    [
      "its place deleted below",
      [file("x", "x"), file("a", "old")],
      [link("a", "x"), file(".wh.a", "")],
      ["a x", "x x =a"],
    ],
    ["the file deleted", [file("x", "x", owned)], [link("a", "x"), file(".wh.x", "")], ["a x"]],
    [
      "the file deleted, twice linked",
      [file("x", "x")],
      [link("a", "x"), link("b", "x"), link("c", "b"), file(".wh.x", "")],
      ["a x", "b x =a", "c x =a"],
    ],
    [
      "the file's folder deleted",
      [file("d/x", "x")],
      [link("a", "d/x"), file(".wh.d", "")],
      ["a x"],
    ],
    [
      "a folder in place of the file",
      [file("x", "x")],
      [link("a", "x"), file("x/b", "b")],
      ["a x", "x/b b"],
    ],
    [
      "a new file in place of the file",
      [file("x", "old")],
      [link("a", "x"), file("x", "new")],
      ["a new", "x new =a"],
    ],
    [
      "a link through it, whose place is taken",
      [file("x", "x")],
      [link("b", "a"), link("a", "x"), folder("a/"), file("a/c", "c")],
      ["a/c c", "b x", "x x =b"],
    ],
    [
      "links to all names of one file",
      [file("x", "x"), link("y", "x")],
      [link("a", "x"), link("b", "y")],
      ["a x", "b x =a", "x x =a", "y x =a"],
    ],
    [
      "a way through a link",
      usrMerged,
      [link("a", "lib/x")],
      ["a x", "lib -> usr/lib", "usr/lib/x x =a"],
    ],
    [
      "a way through a link, to what it has itself",
      usrMerged,
      [link("a", "lib/x"), file("usr/lib/x", "new")],
      ["a new", "lib -> usr/lib", "usr/lib/x new =a"],
    ],
    [
      "a way through links up and to the root",
      [soft("p", "../../q"), soft("q", "/usr/./lib"), file("usr/lib/x", "x")],
      [link("a", "p/x")],
      ["a x", "p -> ../../q", "q -> /usr/./lib", "usr/lib/x x =a"],
    ],
    [
      "a link in place of its folder",
      replaced,
      [link("c", "d/f"), link("d", "x")],
      ["c f", "d x", "x x =d"],
    ],
    [
      "a link in place of its folder, and another name of it",
      replaced,
      [link("c", "d/f"), link("e", "d/f"), link("h", "d/g"), link("d", "x")],
      ["c f", "d x", "e f =c", "h g", "x x =d"],
    ],
    [
      "a link in place of a folder above its own",
      [file("d/e/f", "f"), file("x", "x")],
      [link("c", "d/e/f"), link("d", "x")],
      ["c f", "d x", "x x =d"],
    ],
  ];
  return cases.map(([what, below, layer, finds]) => ({
    what: `a hard link to a layer below and ${what}`,
    layers: [below, layer],
    finds,
  }));
}

/** Of one file, whose header says 9: what its time is in the end, in seconds. */
function times(): Kind[] {
  const pax = (mtime: string): Partial<RawMember> => ({ mtime: 9, pax: { mtime } });
  const cases: readonly (readonly [what: string, member: Partial<RawMember>, is: number])[] = [
    ["before 1970", field(mtimeField, "ffffffffffffffffffffff00"), 0],
    ["before 1970, in a PAX header", pax("-1.5"), 0],
    ["just before 1970", pax("-0.5"), 0],
    ["past 2106", field(mtimeField, "800000000000000200000000"), 2 ** 33],
    ["in 2262", pax("9223372035"), 9_223_372_035],
    ["after 2262", pax("9223372037"), 0],
    ["in the year 9999", pax("253402300799"), 0],
    ["in the year 10000", pax("253402300800"), 0],
    ["of 64 bits", pax("9223372036854775807"), 0],
    ["of more than 64 bits", pax("-92233720368547758070"), 0],
    ["of 63 bits in base 256", field(mtimeField, "800000007fffffffffffffff"), 0],
    ["of 95 bits in base 256", field(mtimeField, "807fffffffffffffffffffff"), 0],
    ["with twelve digits of fraction", pax("1.500000000999"), 1.5],
    ["with a point and no more", pax("1."), 1],
    ["with a sign", pax("+5"), 5],
    ["without whole seconds", pax(".5"), 9],
    ["that is no number", pax("nan"), 9],
    ["with an exponent", pax("1e9"), 9],
    ["of no digits", pax(""), 9],
    ["of letters", text(mtimeField, "abcdefghijk\0"), 0],
    ["of a sign and digits", text(mtimeField, "-0000000001\0"), 0],
    ["of blanks", text(mtimeField, " ".repeat(12)), 0],
  ];
  return cases.map(([what, member, is]) => ({
    what: `a time ${what}`,
    layers: [[file("a", "x", member)]],
    finds: [`a x 0:0 755 ${is}`],
    isWhole: true,
  }));
}

function owners(): Kind[] {
  const cases: readonly (readonly [what: string, member: Partial<RawMember>, is: number])[] = [
    ["-1", field(uidField, "ffffffffffffffff"), 0],
    ["-1 in a PAX header", { pax: { uid: "-1" } }, 0],
    ["-2 in a PAX header", { pax: { uid: "-2" } }, 2 ** 32 - 2],
  ];
  return cases.map(([what, member, is]) => ({
    what: `an owner ${what}`,
    layers: [[file("a", "x", member)]],
    finds: [`a x ${is}:0 755 0`],
    isWhole: true,
  }));
}

/** One for all tests: its processes are kept for the next layer. */
const home = await scratch({ prefix: "odd", space: false });
after(() => home[Symbol.asyncDispose]());
const { images, snapshotter } = await openLibrary(await home.folder("root"), {
  keepExtractorsMs: 2000,
});
let loads = 0;

/** Answers the chain of its layers. */
async function load(layers: Kind["layers"]): Promise<string> {
  loads += 1;
  const layout = await home.folder("layouts", String(loads));
  const image: RawImage = {
    tag: `example.test/odd:${loads}`,
    layers: layers.map((members) => ({ blob: tarBytes(members) })),
  };
  await writeRawLayout(layout, [image]);
  const [loaded] = await images.load(layout, call());
  return loaded?.chainId ?? "";
}

/** All but folders of an image, as an overlay shows them. */
async function found(chainId: string, isWhole: boolean): Promise<string[]> {
  const target = await home.folder("merged");
  const lowers = [...snapshotter.directories(namespace, chainId), await home.folder("nothing")];
  const data = `lowerdir=${lowers.join(":")}`;
  mount({ type: "overlay", source: "overlay", target, flags: MountFlag.readOnly, data });
  try {
    return linesOf(target, isWhole);
  } finally {
    unmount(target);
  }
}

function linesOf(root: string, isWhole: boolean): string[] {
  const names = new Map<bigint, string>();
  return filesIn(root, "").map((at) => {
    const place = path.join(root, at);
    const stat = lstatSync(place, { bigint: true });
    const first = names.get(stat.ino);
    if (first === undefined) names.set(stat.ino, at);
    const { uid, gid, mode, mtimeNs } = stat;
    return [
      at,
      stat.isSymbolicLink() ? `-> ${readlinkSync(place)}` : "",
      stat.isFile() ? readFileSync(place, "utf8") : "",
      stat.isFIFO() ? "?" : "",
      first === undefined ? "" : `=${first}`,
      isWhole ? `${uid}:${gid} ${(mode & 0o7777n).toString(8)} ${Number(mtimeNs) / 1e9}` : "",
    ]
      .filter((part) => part !== "")
      .join(" ");
  });
}

function filesIn(root: string, at: string): string[] {
  const entries = readdirSync(path.join(root, at), { withFileTypes: true });
  const found = entries.flatMap((entry) => {
    const place = path.join(at, entry.name);
    return entry.isDirectory() ? filesIn(root, place) : [place];
  });
  return found.sort();
}

for (const { what, layers, finds, isWhole = false } of kinds) {
  test(`a layer with ${what} is taken`, { skip }, async () => {
    assert.deepEqual(await found(await load(layers), isWhole), finds);
  });
}

test("a layer is as large as it becomes by links to the layers below", { skip }, async () => {
  const chainId = await load([
    [file("d/a", "x".repeat(20_000), { mode: 0o600 }), folder("d/", { mtime: 9, mode: 0o700 })],
    [link("b", "d/a")],
  ]);
  const { sizeBytes, inodes } = await snapshotter.usage(namespace, chainId, call());
  assert.equal(inodes, 3n); // the root, d and a
  assert.ok(sizeBytes >= 20_000n, String(sizeBytes));
  const [top = ""] = snapshotter.directories(namespace, chainId);
  const { mode, mtimeMs } = lstatSync(path.join(top, "d"));
  assert.deepEqual([mode & 0o7777, mtimeMs], [0o700, 9000]);
  assert.deepEqual(readdirSync(path.join(snapshotter.root, "implicit-folders")), []);
});

test("a file of a layer below with many names is copied once for links to all of them", {
  skip,
}, async () => {
  const names = Array.from({ length: 50 }, (_, at) => `${at}`);
  const chainId = await load([
    [file("first", "x".repeat(100_000)), ...names.map((name) => link(`d/${name}`, "first"))],
    names.map((name) => link(`e/${name}`, `d/${name}`)),
  ]);
  const { sizeBytes, inodes } = await snapshotter.usage(namespace, chainId, call());
  assert.equal(inodes, 4n); // the root, d, e and the file
  assert.ok(sizeBytes < 200_000n, String(sizeBytes));
});

test("layers of all these kinds are verified as they were loaded", { skip }, async () => {
  const findings: unknown[] = [];
  for await (const finding of images.verify(undefined, call())) findings.push(finding);
  assert.deepEqual(findings, []);
});

const refused: readonly { what: string; layers: Kind["layers"]; says: RegExp }[] = [
  { what: "nothing", layers: [[link("b", "a")]], says: /hard link to no file: "\/a"$/ },
  { what: "itself alone", layers: [[link("a", "a")]], says: /hard link to no file: "\/a"$/ },
  {
    what: "a folder of a layer below",
    layers: [[folder("d/")], [link("b", "d")]],
    says: /hard link to no file: "\/d"$/,
  },
  {
    what: "a file that a layer between has deleted",
    layers: [[file("d/a", "x")], [file("d/.wh..wh..opq", "")], [link("b", "d/a")]],
    says: /hard link to no file: "\/d\/a"$/,
  },
  {
    what: "a file behind links in a circle",
    layers: [[soft("p", "q"), soft("q", "p")], [link("b", "p/a")]],
    says: /too many links in "\/p\/a"$/,
  },
  {
    what: "a file that nobody has behind a link",
    layers: [[soft("p", "/etc"), folder("etc/")], [link("b", "p/passwd")]],
    says: /hard link to no file: "\/p\/passwd"$/,
  },
  {
    what: "a file of aufs that is not there",
    layers: [[link("b", ".wh..wh.plnk/1.2")]],
    says: /hard link to no file: "\/\.wh\.\.wh\.plnk\/1\.2"$/,
  },
];

for (const { what, layers, says } of refused) {
  test(`a layer with a hard link to ${what} is refused`, { skip }, async () => {
    await assert.rejects(load(layers), (error: unknown) => {
      assert.ok(error instanceof RuntimeFault);
      assert.equal(error.code, "INVALID_ARGUMENT");
      assert.match(
        error.message,
        /^cannot load ".*": cannot extract layer "sha256:\w+": (layer has|too many)/,
      );
      assert.match(error.message, says);
      return true;
    });
    assert.deepEqual(readdirSync(path.join(snapshotter.root, "implicit-folders")), []);
  });
}
