// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import {
  appendFile,
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { attributesOf } from "../../../src/base/os/inode.ts";
import { digestOf } from "../../../src/content/digest.ts";
import {
  type ExtractedLayer,
  extractLayer,
  startExtractor,
} from "../../../src/images/unpack/extract-layer.ts";
import { readNames } from "../../../src/images/unpack/name-list.ts";
import { findProgram } from "../../support/lacking.ts";
import { run } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type RawMember, tarBytes } from "../../support/tar-bytes.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";

/** Extracts a layer into `root` of a fresh folder, beside a file that nothing may touch. */
async function extract(
  members: readonly RawMember[],
  check: (
    root: string,
    extracted: ExtractedLayer & { readonly implicit: readonly string[] },
  ) => Promise<void>,
): Promise<void> {
  await using home = await scratch({ prefix: "lay" });
  const { root, blob, diffId, outside } = await place(home, tarBytes(members));
  const implicitList = path.join(home.path, "implicit");
  const extracted = await extractLayer({ blob, root, diffId, implicitList }, timeLimit());
  const implicit =
    extracted.implicit === "listed" ? [...readNames(implicitList)] : extracted.implicit;
  await check(root, { ...extracted, implicit });
  assert.deepEqual(await snapshotOf(outside), untouched);
}

const untouched = [["secret", "600", "outside"]];
const timeLimit = () => ({ signal: AbortSignal.timeout(240_000) });

async function place(home: Scratch, plain: Buffer) {
  const root = await home.folder("root");
  await chmod(root, 0o755); // whatever the umask is
  const outside = await home.folder("outside");
  await writeFile(path.join(outside, "secret"), "outside", { mode: 0o600 });
  const blob = path.join(home.path, "layer");
  await writeFile(blob, gzipSync(plain));
  return { root, blob, outside, diffId: digestOf(plain) };
}

async function snapshotOf(folder: string): Promise<string[][]> {
  const found: string[][] = [];
  for (const name of (await readdir(folder)).sort()) {
    const file = path.join(folder, name);
    const { mode } = await lstat(file);
    found.push([name, (mode & 0o7777).toString(8), await readFile(file, "utf8")]);
  }
  return found;
}

test("what an archive says of its root is passed over, as by containerd", { skip }, async () => {
  const root = {
    flag: "5",
    mode: 0o1700,
    uid: 5,
    gid: 6,
    mtime: 77,
    pax: { "SCHILY.xattr.user.odd": "odd" },
  };
  const members = [
    { ...root, name: "./" },
    { name: "a", content: "a" },
    { ...root, name: "/" },
    { ...root, name: "a/.." },
    { name: "./", flag: "2", link: "../outside" },
    { name: ".", flag: "3" },
  ];
  await extract(members, async (folder, { leftOut }) => {
    const { mode, uid, gid, mtimeMs } = await lstat(folder);
    assert.deepEqual([mode & 0o7777, uid, gid], [0o755, 0, 0]);
    assert.ok(mtimeMs > 78_000);
    assert.deepEqual(await readdir(folder), ["a"]);
    const fd = openSync(folder, "r");
    assert.equal(attributesOf(fd).get("user.odd"), undefined);
    closeSync(fd);
    assert.equal(leftOut.length, 2);
  });
});

test("what a hard link's own header says counts for the file, as in containerd", {
  skip,
}, async () => {
  const further = { flag: "1", mode: 0o4711, uid: 5, gid: 6, mtime: 77 };
  const members = [
    { name: "a", content: "a", mode: 0o644, mtime: 5 },
    { ...further, name: "b", link: "a", pax: { "SCHILY.xattr.user.k": "v" } },
    { name: "s", flag: "2", link: "a", mtime: 5 },
    { ...further, name: "t", link: "s" },
    { name: "c", content: "c", mode: 0o644, mtime: 5, pax: { "SCHILY.xattr.user.k": "v" } },
    { name: "d", flag: "1", link: "c", mode: 0o644, mtime: 5 },
  ];
  await extract(members, async (folder) => {
    const facts = await Promise.all(
      ["a", "s", "c"].map(async (name) => {
        const { mode, uid, gid, mtimeMs } = await lstat(path.join(folder, name));
        return [name, (mode & 0o7777).toString(8), uid, gid, mtimeMs / 1000];
      }),
    );
    const linkMode = "777";
    assert.deepEqual(facts, [
      ["a", "4711", 5, 6, 77],
      ["s", linkMode, 5, 6, 77],
      ["c", "644", 0, 0, 5],
    ]);
    const fds = ["a", "c"].map((name) => openSync(path.join(folder, name), "r"));
    for (const fd of fds) {
      assert.equal(attributesOf(fd).get("user.k")?.toString(), "v");
      closeSync(fd);
    }
  });
});

test("attributes that are the node's administrators' are left out", { skip }, async () => {
  const pax = { "SCHILY.xattr.trusted.k": "v", "SCHILY.xattr.user.k": "v" };
  const members = [{ name: "a", content: "a", pax }];
  await extract(members, async (folder) => {
    const fd = openSync(path.join(folder, "a"), "r");
    const names = [...attributesOf(fd).keys()];
    closeSync(fd);
    assert.deepEqual(
      names.filter((name) => !name.startsWith("security.")),
      ["user.k"],
    );
  });
});

test("a layer is extracted while its blob is being written", { skip }, async () => {
  await using home = await scratch({ prefix: "lay" });
  const files = Array.from({ length: 40 }, (_, at) => ({
    name: `f${at}`,
    content: randomBytes(50_000),
  }));
  const plain = tarBytes(files);
  const { root, blob, diffId } = await place(home, plain);
  const bytes = await readFile(blob);
  await truncate(blob, 1000);
  const growsTo = bytes.length;
  const extracting = extractLayer({ blob, root, diffId, growsTo }, timeLimit());
  for (let at = 1000; at < bytes.length; at += 200_000) {
    await appendFile(blob, bytes.subarray(at, at + 200_000));
    await delay(5);
  }
  const { blobDigest, plainBytes } = await extracting;
  assert.equal(blobDigest, digestOf(bytes));
  assert.equal(plainBytes, BigInt(plain.length));
  for (const { name, content } of files) {
    assert.deepEqual(await readFile(path.join(root, name)), content);
  }
});

const refused: readonly { name: string; members: readonly RawMember[]; says: RegExp }[] = [
  {
    name: "a hard link out of the root",
    members: [{ name: "link", flag: "1", link: "../outside/secret" }],
    says: /hard link to no file: "\/outside\/secret"/,
  },
  {
    name: "a hard link to what is above the root",
    members: [{ name: "link", flag: "1", link: "a/../.." }],
    says: /hard link to a folder/,
  },
  {
    name: "a hard link through a link out of the root",
    members: [
      { name: "door", flag: "2", link: "../outside" },
      { name: "link", flag: "1", link: "door/secret" },
    ],
    says: /hard link to no file/,
  },
  {
    name: "a symbolic link to nothing",
    members: [{ name: "link", flag: "2", link: "" }],
    says: /symbolic link to nothing: "link"/,
  },
  { name: "a whiteout of ..", members: [{ name: "a/.wh..." }], says: /hostile whiteout/ },
  { name: "a whiteout of .", members: [{ name: ".wh.." }], says: /hostile whiteout/ },
  { name: "a whiteout of nothing", members: [{ name: "a/.wh." }], says: /hostile whiteout/ },
  {
    name: "links that go round",
    members: [
      { name: "a", flag: "2", link: "b" },
      { name: "b", flag: "2", link: "a" },
      { name: "a/file", content: "x" },
    ],
    says: /too many links/,
  },
  {
    name: "a file below a file",
    members: [
      { name: "a", content: "x" },
      { name: "a/b", content: "y" },
    ],
    says: /no folder/,
  },
  {
    name: "a file of absurd size",
    members: [
      {
        name: "huge",
        patch: (header) => header.write("80000000000fffffffffffff", 124, 12, "hex"),
      },
    ],
    says: /too large/,
  },
  {
    name: "a PAX header of absurd size",
    members: [{ name: "pax", flag: "x", size: 2 ** 31 }],
    says: /too long/,
  },
  { name: "a member that is cut off", members: [{ name: "a", size: 100_000 }], says: /cut off/ },
];

for (const { name, members, says } of refused) {
  test(`a layer with ${name} is refused and changes nothing outside`, { skip }, async () => {
    await using home = await scratch({ prefix: "lay" });
    const { root, blob, outside, diffId } = await place(home, tarBytes(members));
    await assert.rejects(extractLayer({ blob, root, diffId }, timeLimit()), says);
    assert.deepEqual(await snapshotOf(outside), untouched);
  });
}

test("absolute names and links stay inside the root", { skip }, async () => {
  const members: RawMember[] = [
    { name: "/etc/passwd", content: "inside" },
    { name: "door", flag: "2", link: "../../outside" },
    { name: "door/secret", content: "inside" },
    { name: "abs", flag: "2", link: "/tmp/none/deep" },
    { name: "abs/file", content: "made" },
    { name: "door/.wh.gone" },
  ];
  await extract(members, async (root) => {
    assert.equal(await readFile(path.join(root, "etc/passwd"), "utf8"), "inside");
    assert.equal(await readFile(path.join(root, "outside/secret"), "utf8"), "inside");
    assert.equal(await readFile(path.join(root, "tmp/none/deep/file"), "utf8"), "made");
    assert.ok((await lstat(path.join(root, "outside/gone"))).isCharacterDevice());
    assert.equal(await readlink(path.join(root, "abs")), "/tmp/none/deep");
  });
});

test("a link that stood in the folder before is not followed out", { skip }, async () => {
  await using home = await scratch({ prefix: "lay" });
  const { root, blob, outside, diffId } = await place(
    home,
    tarBytes([{ name: "door/secret", content: "evil" }]),
  );
  await symlink(outside, path.join(root, "door"));
  await extractLayer({ blob, root, diffId }, timeLimit());
  assert.deepEqual(await snapshotOf(outside), untouched);
});

test("whiteouts become overlayfs' own, and spare their own layer", { skip }, async () => {
  const members: RawMember[] = [
    { name: "gone-dir/", flag: "5" },
    { name: "gone-dir/.wh.gone" },
    { name: "opaque/", flag: "5" },
    { name: "opaque/.wh..wh..opq" },
    { name: "opaque/new", content: "new" },
    { name: "kept", content: "kept" },
    { name: ".wh.kept" },
    { name: ".wh.again" },
    { name: "again/", flag: "5" },
    { name: ".wh..wh.plnk/1", content: "aufs" },
  ];
  await extract(members, async (root) => {
    const gone = await lstat(path.join(root, "gone-dir/gone"));
    assert.deepEqual([gone.isCharacterDevice(), gone.rdev], [true, 0]);
    assert.deepEqual(await readdir(path.join(root, "opaque")), ["new"]);
    assert.equal(xattr(path.join(root, "opaque"), "trusted.overlay.opaque"), "y");
    assert.equal(xattr(path.join(root, "again"), "trusted.overlay.opaque"), "y");
    assert.equal(await readFile(path.join(root, "kept"), "utf8"), "kept");
    assert.deepEqual((await readdir(root)).sort(), ["again", "gone-dir", "kept", "opaque"]);
  });
});

test("a member's looks survive: owner, mode, attributes, time, type", { skip }, async () => {
  const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");
  const looks = {
    mode: 0o4755,
    uid: 1234,
    gid: 2_000_000,
    pax: {
      mtime: "1234567890.123456789",
      uid: "3000000000",
      "SCHILY.xattr.security.capability": capability,
      "SCHILY.xattr.trusted.overlay.opaque": "y",
    },
  };
  const members: RawMember[] = [
    { ...looks, name: "tool", content: "x" },
    { ...looks, name: "same", flag: "1", link: "tool" },
    { name: "null", flag: "3", major: 1, minor: 3, mode: 0o666 },
    { name: "pipe", flag: "6", mode: 0o622 },
    { name: "dir/", flag: "5", mode: 0o1777, mtime: 1_000_000 },
    { name: "dir/inner", content: "later" },
    { name: "caf\u00c3\u00a9-\u00ff", content: "bytes" },
    { name: "pax", content: "long", pax: { path: `${"d/".repeat(80)}file` } },
  ];
  await extract(members, async (root, { implicit, usage }) => {
    const tool = await lstat(path.join(root, "tool"), { bigint: true });
    assert.equal(tool.mtimeNs, 1_234_567_890_123_456_789n);
    assert.deepEqual(
      [tool.uid, tool.gid, tool.mode & 0o7777n],
      [3_000_000_000n, 2_000_000n, 0o4755n],
    );
    assert.equal(tool.nlink, 2n);
    assert.equal(xattr(path.join(root, "tool"), "security.capability"), capability.toString());
    assert.equal(xattr(path.join(root, "tool"), "trusted.overlay.opaque"), undefined);
    const device = await lstat(path.join(root, "null"));
    assert.deepEqual(
      [device.isCharacterDevice(), device.rdev, device.mode & 0o777],
      [true, 0x103, 0o666],
    );
    assert.ok((await lstat(path.join(root, "pipe"))).isFIFO());
    const dir = await lstat(path.join(root, "dir"));
    assert.deepEqual([dir.mtimeMs, dir.mode & 0o7777], [1_000_000_000, 0o1777]);
    const names = await readdir(root, { encoding: "buffer" });
    assert.ok(names.some((name) => name.toString("latin1") === "caf\u00c3\u00a9-\u00ff"));
    assert.equal(await readFile(path.join(root, `${"d/".repeat(80)}file`), "utf8"), "long");
    assert.equal(implicit.length, 81);
    assert.ok(usage.inodes > 80n);
  });
});

test("what a layer takes is what its files and folders take", { skip }, async () => {
  const big = "content ".repeat(100_000);
  const kinds: RawMember[] = [
    { name: "dir/", flag: "5" },
    { name: "dir/empty", content: "" },
    { name: "dir/small", content: "small", mode: 0o4711, uid: 7, gid: 8 },
    { name: "dir/big", content: big },
    { name: "dir/attributes", content: "a", pax: { "SCHILY.xattr.user.a": "b".repeat(2000) } },
    { name: "same", flag: "1", link: "dir/big" },
    { name: "link", flag: "2", link: `${"far/".repeat(50)}away` },
    { name: "pipe", flag: "6" },
    { name: "implied/by/file", content: "deep" },
    { name: ".wh.gone", content: "" },
    ...Array.from({ length: 300 }, (_, i) => ({
      name: `many/${"n".repeat(40)}${i}`,
      content: "x",
    })),
  ];
  const replaced: RawMember[][] = [
    [{ name: "dir/big", content: "now small" }],
    [{ name: "many", flag: "2", link: "elsewhere" }],
    [{ name: "gone/is/back", content: "again" }],
  ];
  for (const more of [[], ...replaced]) {
    const members = [...kinds, ...more];
    await extract(members, async (root, { usage }) => {
      assert.deepEqual(usage, await taken(root));
    });
  }
});

/** Blocks and inodes of a tree, each file with several names once. */
async function taken(root: string): Promise<{ sizeBytes: bigint; inodes: bigint }> {
  const found = new Map<bigint, bigint>();
  const names = await readdir(root, { recursive: true });
  for (const name of ["", ...names]) {
    const { ino, blocks } = await lstat(path.join(root, name), { bigint: true });
    found.set(ino, blocks);
  }
  const blocks = [...found.values()].reduce((sum, each) => sum + each, 0n);
  return { sizeBytes: blocks * 512n, inodes: BigInt(found.size) };
}

test("sparse files of all formats come out whole", { skip }, async () => {
  const tar = findProgram("tar");
  if (!tar) return;
  await using home = await scratch({ prefix: "lay" });
  const source = await home.folder("source");
  const wanted = Buffer.alloc(3_000_000);
  for (let at = 0; at < 12; at += 1) wanted.write(`part ${at}`, at * 250_000);
  await run("truncate", ["-s", "3000000", path.join(source, "holes")]);
  for (let at = 0; at < 12; at += 1) {
    await run(
      "dd",
      [`of=${path.join(source, "holes")}`, "conv=notrunc", "bs=1", `seek=${at * 250_000}`],
      { input: `part ${at}` },
    );
  }
  for (const format of ["gnu", "0.0", "0.1", "1.0"]) {
    const flags =
      format === "gnu" ? ["--format=gnu"] : ["--format=posix", `--sparse-version=${format}`];
    const blob = path.join(home.path, `layer ${format}`);
    const made = await run(tar, ["-C", source, "--sparse", ...flags, "-cf", blob, "holes"]);
    assert.equal(made.code, 0, made.stderr);
    const root = await home.folder("root", format);
    const bytes = await readFile(blob);
    assert.ok(bytes.length < 1_000_000, "tar wrote no sparse file");
    await extractLayer({ blob, root, diffId: digestOf(bytes) }, timeLimit());
    assert.deepEqual(await readFile(path.join(root, "holes")), wanted, format);
    assert.ok((await lstat(path.join(root, "holes"))).blocks * 512 < 1_000_000, format);
  }
});

test("a wrong diff id fails the layer", { skip }, async () => {
  await using home = await scratch({ prefix: "lay" });
  const { root, blob } = await place(home, tarBytes([{ name: "a", content: "x" }]));
  const diffId = digestOf("something else");
  await assert.rejects(extractLayer({ blob, root, diffId }, timeLimit()), {
    code: "FAILED_PRECONDITION",
  });
});

test("one process extracts layers into one folder after another", { skip }, async () => {
  await using home = await scratch({ prefix: "lay" });
  using extractor = startExtractor();
  for (const name of ["a", "b", "c"]) {
    const folder = await home.folder(name);
    const root = path.join(folder, "root");
    await mkdir(root);
    const blob = path.join(folder, "blob");
    const bytes = tarBytes([{ name: `d/${name}`, content: name }]);
    await writeFile(blob, bytes);
    const { implicit } = await extractor.extract(
      { blob, root, diffId: digestOf(bytes) },
      timeLimit(),
    );
    assert.deepEqual(implicit, ["", "/d"]);
    assert.deepEqual(await readdir(path.join(root, "d")), [name]);
  }
});

test("an extraction ends with its signal", { skip }, async () => {
  await using home = await scratch({ prefix: "lay" });
  const root = await home.folder("root");
  const pipe = path.join(home.path, "pipe");
  await run("mkfifo", [pipe]);
  const abort = new AbortController();
  const work = extractLayer({ blob: pipe, root, diffId: digestOf("") }, abort);
  abort.abort();
  await assert.rejects(work, { code: "CANCELLED" });
});

function xattr(file: string, name: string): string | undefined {
  const fd = openSync(file, "r");
  try {
    return attributesOf(fd).get(name)?.toString();
  } finally {
    closeSync(fd);
  }
}
