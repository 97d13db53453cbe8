// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { makeFolderAt, openAt, openFolder } from "../../../src/base/os/at.ts";
import { FileType, makeNode, setXattr } from "../../../src/base/os/node-files.ts";
import { readXattr } from "../../../src/base/os/xattr.ts";
import type { CopyRequest } from "../../../src/trees/copy-tree.ts";
import { workHere } from "../../../src/trees/run-here.ts";
import { openFilesOf } from "../../support/processes.ts";
import { scratch } from "../../support/scratch.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: new AbortController().signal };

interface Place {
  readonly from: string;
  readonly lower: string;
  readonly to: string;
  readonly copy: (change?: Partial<CopyRequest>) => Promise<void>;
}

async function setUp(t: TestContext): Promise<Place> {
  const home = await scratch();
  // Not by Node, which goes by paths.
  t.after(() => void execFileSync("rm", ["-rf", "--", home.path]));
  const [from, lower] = [await home.folder("upper"), await home.folder("lower")];
  const to = path.join(home.path, "copy");
  const openBefore = openFiles(home.path);
  const copy = async (change: Partial<CopyRequest> = {}): Promise<void> => {
    const request = { layers: [from, lower].map(latin1), destination: latin1(to), ...change };
    try {
      await workHere().run("copy", request, call);
    } finally {
      assert.equal(openFiles(home.path), openBefore, "descriptors are left open");
    }
    assert.deepEqual(
      readdirSync(home.path).filter((name) => name.startsWith("copy")),
      ["copy"],
    );
  };
  return { from, lower, to, copy };
}

const latin1 = (file: string): string => Buffer.from(file).toString("latin1");
/** Of ours, below `home`: the runner opens others. */
const openFiles = (home: string): number =>
  openFilesOf(process.pid).filter((file) => file.startsWith(`${home}/`)).length;
const at = (folder: string, name: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${folder}/`), name]);
const oddName = Buffer.from([0x61, 0xff, 0xfe, 0x0a, 0x62]);
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");

interface Kind {
  readonly make: (from: string) => void;
  readonly check: (to: string, from: string) => void;
}

/** Each kind of thing an image can hold, and how it must come out. */
const kinds: Readonly<Record<string, Kind>> = {
  "a name that is not UTF-8": {
    make: (from) => writeFileSync(at(from, oddName), "odd"),
    check: (to) => {
      assert.deepEqual(readdirSync(to, "buffer"), [oddName]);
      assert.equal(readFileSync(at(to, oddName), "utf8"), "odd");
    },
  },
  "a folder whose name is not UTF-8": {
    make: (from) => {
      mkdirSync(at(from, oddName));
      writeFileSync(Buffer.concat([at(from, oddName), Buffer.from("/in")]), "x");
    },
    check: (to) => assert.deepEqual(readdirSync(at(to, oddName)), ["in"]),
  },
  "a FIFO": {
    make: (from) => makeNode(path.join(from, "fifo"), FileType.fifo | 0o640, 0, 0),
    check: (to) => {
      const stat = lstatSync(path.join(to, "fifo"));
      assert.ok(stat.isFIFO());
      assert.equal(stat.mode & 0o7777, 0o640 & ~process.umask());
    },
  },
  "a device": {
    make: (from) => makeNode(path.join(from, "null"), FileType.character | 0o600, 1, 3),
    check: (to) => assert.equal(lstatSync(path.join(to, "null")).rdev, lstatSync("/dev/null").rdev),
  },
  "a file's capabilities and attributes": {
    make: (from) => {
      writeFileSync(path.join(from, "ping"), "#!");
      setXattr(path.join(from, "ping"), "security.capability", capability);
      setXattr(path.join(from, "ping"), "user.note", Buffer.from("v\0w"));
    },
    check: (to) => {
      const file = path.join(to, "ping");
      assert.deepEqual(readXattr(file, "security.capability", 64), capability);
      assert.deepEqual(readXattr(file, "user.note", 64), Buffer.from("v\0w"));
    },
  },
  "a folder's attributes, but none of overlayfs' own": {
    make: (from) => {
      mkdirSync(path.join(from, "d"));
      setXattr(path.join(from, "d"), "user.note", Buffer.from("x"));
      setXattr(path.join(from, "d"), "trusted.overlay.opaque", Buffer.from("y"));
    },
    check: (to) => {
      assert.deepEqual(readXattr(path.join(to, "d"), "user.note", 64), Buffer.from("x"));
      assert.equal(readXattr(path.join(to, "d"), "trusted.overlay.opaque", 64), undefined);
    },
  },
  "hard links": {
    make: (from) => {
      mkdirSync(path.join(from, "deep"));
      writeFileSync(path.join(from, "one"), "shared");
      linkSync(path.join(from, "one"), path.join(from, "deep/two"));
      linkSync(path.join(from, "one"), path.join(from, "three"));
      symlinkSync("nowhere", path.join(from, "link"));
      linkSync(path.join(from, "link"), path.join(from, "link2"));
    },
    check: (to) => {
      const [one, two, three] = ["one", "deep/two", "three"].map((it) => statSync(`${to}/${it}`));
      assert.deepEqual([two?.ino, three?.ino, one?.nlink], [one?.ino, one?.ino, 3]);
      assert.equal(lstatSync(`${to}/link`).ino, lstatSync(`${to}/link2`).ino);
    },
  },
  "a sparse file": {
    make: (from) => {
      const fd = openSync(path.join(from, "sparse"), "w");
      writeSync(fd, "start", 0);
      writeSync(fd, "middle", 50 * 2 ** 20);
      ftruncateSync(fd, 2 ** 32);
      closeSync(fd);
    },
    check: (to) => {
      const file = path.join(to, "sparse");
      const { size, blocks } = statSync(file);
      assert.equal(size, 2 ** 32);
      assert.ok(blocks * 512 < 2 ** 20, `${blocks} blocks`);
      const fd = openSync(file, "r");
      const piece = Buffer.alloc(8);
      const read = (offset: number): string =>
        piece.toString("latin1", 0, readAt(fd, piece, offset)).replaceAll("\0", "");
      assert.deepEqual([read(0), read(50 * 2 ** 20), read(2 ** 30)], ["start", "middle", ""]);
      closeSync(fd);
    },
  },
  "owners, modes with set-id bits, and times": {
    make: (from) => {
      mkdirSync(path.join(from, "d"));
      writeFileSync(path.join(from, "d/su"), "#!");
      chownSync(path.join(from, "d/su"), 12, 34);
      chmodSync(path.join(from, "d/su"), 0o6755);
      utimesSync(path.join(from, "d/su"), 1_000_000, 2_000_000.25);
      chmodSync(path.join(from, "d"), 0o1750);
      utimesSync(path.join(from, "d"), 3_000_000, 4_000_000);
    },
    check: (to) => {
      const [file, folder] = [statSync(`${to}/d/su`), statSync(`${to}/d`)];
      assert.deepEqual([file.uid, file.gid, file.mode & 0o7777], [12, 34, 0o6755]);
      assert.deepEqual([file.mtimeMs, folder.mtimeMs], [2_000_000_250, 4_000_000_000]);
      assert.equal(folder.mode & 0o7777, 0o1750);
    },
  },
  "links, which are never followed": {
    make: (from) => {
      symlinkSync("/etc", path.join(from, "host"));
      symlinkSync(".", path.join(from, "self"));
      symlinkSync(oddName, path.join(from, "odd"));
    },
    check: (to) => {
      assert.equal(readlinkSync(`${to}/host`), "/etc");
      assert.ok(lstatSync(`${to}/self`).isSymbolicLink());
      assert.deepEqual(readlinkSync(`${to}/odd`, "buffer"), oddName);
    },
  },
  "folders deeper than a path may be long": {
    make: (from) => nestEach(from, 40, "n".repeat(200)),
    check: (to) => assert.equal(depthOf(to), 40),
  },
  "many folders in one another": {
    make: (from) => nestEach(from, 600, "d"),
    check: (to) => assert.equal(depthOf(to), 600),
  },
  "more files than are read at once": {
    make: (from) => {
      for (let index = 0; index < 900; index += 1) writeFileSync(`${from}/file-${index}`, "");
    },
    check: (to) => assert.equal(readdirSync(to).length, 900),
  },
};

for (const [name, { make, check }] of Object.entries(kinds)) {
  test(`a copy has ${name}`, { skip }, async (t) => {
    const { from, to, copy } = await setUp(t);
    make(from);
    await copy();
    check(to, from);
  });
}

test("layers merge as overlayfs does: upper wins, whiteouts remove, opaque hides", {
  skip,
}, async (t) => {
  const { from: upper, lower, to, copy } = await setUp(t);
  const write = (file: string, content: string): void => {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  };
  for (const name of ["a", "b", "c"]) write(path.join(lower, "d", name), `lower ${name}`);
  write(path.join(lower, "o/hidden"), "hidden");
  write(path.join(lower, "was/folder"), "x");
  write(path.join(lower, "only/low"), "low");
  write(path.join(upper, "d/a"), "upper a");
  write(path.join(upper, "o/seen"), "seen");
  write(path.join(upper, "was"), "now a file");
  chmodSync(path.join(upper, "d"), 0o700);
  chmodSync(path.join(lower, "d"), 0o755);
  makeNode(path.join(upper, "d/b"), FileType.character, 0, 0);
  setXattr(path.join(upper, "o"), "trusted.overlay.opaque", Buffer.from("y"));
  await copy();
  const all = readdirSync(to, { recursive: true }).map(String).sort();
  const expected = ["d", "d/a", "d/c", "o", "o/seen", "only", "only/low", "was"];
  assert.deepEqual(all, expected);
  assert.equal(readFileSync(path.join(to, "d/a"), "utf8"), "upper a");
  assert.equal(statSync(path.join(to, "d")).mode & 0o777, 0o700);
});

test("folders of many layers that are deep and wide are gone through whole", {
  skip,
}, async (t) => {
  const { from, lower, to, copy } = await setUp(t);
  for (const layer of [from, lower]) {
    for (let wide = 0; wide < 3; wide += 1) {
      const top = path.join(layer, `top-${wide}`);
      mkdirSync(top);
      nestEach(top, 120, "d", (level) => [`${path.basename(layer)}-${level}`]);
    }
  }
  await copy();
  for (let wide = 0; wide < 3; wide += 1) {
    const files = filesBelow(path.join(to, `top-${wide}`));
    assert.equal(files.length, 240);
  }
});

test("owners and capabilities are mapped for a user namespace", { skip }, async (t) => {
  const { from, to, copy } = await setUp(t);
  for (const [name, uid, gid] of [
    ["in", 12, 3],
    ["out", 70, 3],
    ["root", 0, 0],
  ] as const) {
    writeFileSync(path.join(from, name), "#!");
    chownSync(path.join(from, name), uid, gid);
  }
  chmodSync(path.join(from, "root"), 0o4755);
  setXattr(path.join(from, "root"), "security.capability", capability);
  const mapping = [{ containerID: 0, hostID: 100_000, size: 20 }];
  await copy({ mappings: { uids: mapping, gids: mapping } });
  const owner = (name: string): readonly number[] => {
    const { uid, gid } = lstatSync(path.join(to, name));
    return [uid, gid];
  };
  assert.deepEqual(["", "in", "out", "root"].map(owner), [
    [100_000, 100_000],
    [100_012, 100_003],
    [65_534, 100_003],
    [100_000, 100_000],
  ]);
  assert.equal(lstatSync(path.join(to, "root")).mode & 0o7777, 0o4755);
  const owned = readXattr(path.join(to, "root"), "security.capability", 64);
  assert.deepEqual([owned?.readUInt32LE(0), owned?.readUInt32LE(20)], [0x03000001, 100_000]);
});

const notPlain: readonly (readonly [name: string, make: (file: string) => void])[] = [
  ["a link", (file) => symlinkSync("/dev/zero", file)],
  ["a FIFO", (file) => makeNode(file, FileType.fifo | 0o600, 0, 0)],
  ["a device", (file) => makeNode(file, FileType.character | 0o600, 1, 5)],
];
for (const [name, make] of notPlain) {
  test(`of plain files and folders ${name} is none`, { skip }, async (t) => {
    const { from, copy } = await setUp(t);
    make(path.join(from, "config.dump"));
    await assert.rejects(copy({ plainEntries: 10 }), {
      code: "INVALID_ARGUMENT",
      message: '"config.dump" is neither a file nor a folder',
    });
  });
}

test("of plain files and folders there may be too many", { skip }, async (t) => {
  const { from, copy } = await setUp(t);
  for (let index = 0; index < 11; index += 1) writeFileSync(`${from}/${index}`, "");
  await assert.rejects(copy({ plainEntries: 10 }), { code: "RESOURCE_EXHAUSTED" });
});

function readAt(fd: number, into: Buffer, offset: number): number {
  return readSync(fd, into, 0, into.length, offset);
}

/** Folders in one another, by descriptors, since their path may be longer than a path can be. */
function nestEach(
  top: string,
  depth: number,
  name: string,
  files: (level: number) => readonly string[] = () => [],
): void {
  let folder = openSync(top, openFolder);
  for (let level = 0; level < depth; level += 1) {
    makeFolderAt(folder, Buffer.from(name), 0o755);
    const next = openAt(folder, Buffer.from(name), openFolder);
    closeSync(folder);
    folder = next;
    for (const file of files(level)) {
      const flags = constants.O_CREAT | constants.O_WRONLY;
      closeSync(openAt(folder, Buffer.from(file), flags, 0o644));
    }
  }
  closeSync(folder);
}

function depthOf(top: string): number {
  let folder = openSync(top, openFolder);
  try {
    for (let depth = 0; ; depth += 1) {
      const [name] = readdirSync(`/proc/self/fd/${folder}`);
      if (name === undefined) return depth;
      const next = openAt(folder, Buffer.from(name), openFolder);
      closeSync(folder);
      folder = next;
    }
  } finally {
    closeSync(folder);
  }
}

function filesBelow(top: string): string[] {
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}
