// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, constants, openSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import {
  chownAt,
  linkAt,
  makeFolderAt,
  makeNodeAt,
  openAt,
  openFolder,
  openResolved,
  Resolve,
  readlinkAt,
  renameAt,
  setTimesAt,
  symlinkAt,
  unlinkAt,
} from "../../../src/base/os/at.ts";
import { DirectoryReader, EntryType } from "../../../src/base/os/directory-reader.ts";
import { FileType, factsAt, factsIfAny, factsOf } from "../../../src/base/os/file-facts.ts";
import { scratch } from "../../support/scratch.ts";

process.umask(0o022);
const skip = process.getuid?.() === 0 ? false : "needs root";
/** Not UTF-8. */
const odd = Buffer.from([0x66, 0xff, 0xfe, 0x80]);
const other = Buffer.from("other");

async function open() {
  const home = await scratch();
  const fd = openSync(home.path, openFolder);
  return {
    path: home.path,
    fd,
    [Symbol.asyncDispose]: async () => {
      closeSync(fd);
      await home[Symbol.asyncDispose]();
    },
  };
}

function entries(fd: number): string[] {
  const reader = new DirectoryReader(fd);
  reader.seek(0n);
  const found: string[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) {
    found.push(next.name.toString("latin1"));
  }
  return found.sort();
}

test("names are bytes in every call", { skip }, async () => {
  await using home = await open();
  const { fd } = home;
  makeFolderAt(fd, odd, 0o750);
  assert.equal(factsAt(fd, odd).mode, FileType.folder | 0o750);
  const folder = openAt(fd, odd, openFolder);
  closeSync(openAt(folder, odd, constants.O_CREAT | constants.O_WRONLY, 0o600));
  linkAt(folder, odd, folder, other);
  assert.equal(factsAt(folder, odd).links, 2);
  renameAt(folder, other, fd, other);
  assert.equal(factsIfAny(folder, other), undefined);
  assert.throws(() => renameAt(fd, other, fd, odd), { code: "EEXIST" });
  symlinkAt(odd, fd, Buffer.from("link"));
  assert.deepEqual(readlinkAt(fd, Buffer.from("link")), odd);
  makeNodeAt(fd, Buffer.from("null"), FileType.characterDevice | 0o600, { major: 1, minor: 3 });
  assert.deepEqual(entries(fd), ["f\xff\xfe\x80", "link", "null", "other"]);
  unlinkAt(folder, odd, false);
  closeSync(folder);
  unlinkAt(fd, odd, true);
  assert.deepEqual(entries(fd), ["link", "null", "other"]);
});

test("facts are those that Node tells", { skip }, async () => {
  await using home = await open();
  const { fd } = home;
  closeSync(openAt(fd, odd, constants.O_CREAT | constants.O_WRONLY, 0o640));
  renameAt(fd, odd, fd, other);
  chownAt(fd, other, 70_000, 4_000_000_000);
  setTimesAt(fd, other, { seconds: -5, nanos: 7 }, { seconds: 6_000_000_000, nanos: 999_999_999 });
  const facts = factsAt(fd, other);
  const stat = statSync(`${home.path}/other`, { bigint: true });
  const { mode, links, uid, gid, size, blocks, accessed, modified } = facts;
  assert.deepEqual(
    { mode, links, uid, gid, size, blocks },
    {
      mode: Number(stat.mode),
      links: 1,
      uid: 70_000,
      gid: 4_000_000_000,
      size: Number(stat.size),
      blocks: Number(stat.blocks),
    },
  );
  assert.deepEqual(accessed, { seconds: -5, nanos: 7 });
  assert.deepEqual(modified, { seconds: 6_000_000_000, nanos: 999_999_999 });
  assert.equal(BigInt(facts.inodeLow) + (BigInt(facts.inodeHigh) << 32n), stat.ino);
  assert.equal(facts.device, factsOf(fd).device);
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  assert.ok(mounts.some((line) => line.startsWith(`${facts.mountId} `)));
});

const ways: readonly (readonly [string, number, string])[] = [
  ["../x", Resolve.beneath, "EXDEV"],
  ["up/etc", Resolve.beneath, "EXDEV"],
  ["absolute", Resolve.beneath, "EXDEV"],
  ["inside", Resolve.noLinks, "ELOOP"],
  ["", Resolve.beneath, ""],
  ["inside", Resolve.beneath, ""],
];

test("a path is resolved as it was asked for", { skip }, async (t) => {
  await using home = await open();
  const { fd } = home;
  makeFolderAt(fd, other, 0o755);
  symlinkAt(Buffer.from("../.."), fd, Buffer.from("up"));
  symlinkAt(Buffer.from("/etc"), fd, Buffer.from("absolute"));
  symlinkAt(other, fd, Buffer.from("inside"));
  for (const [name, resolve, code] of ways) {
    await t.test(`${name || "."}: ${code || "opens"}`, () => {
      const attempt = (): void =>
        closeSync(openResolved(fd, Buffer.from(name), constants.O_RDONLY, resolve));
      if (code === "") attempt();
      else assert.throws(attempt, { code });
    });
  }
});

test("a name with a NUL, or too long, names nothing", { skip }, async () => {
  await using home = await open();
  closeSync(openAt(home.fd, other, constants.O_CREAT | constants.O_WRONLY));
  assert.throws(() => unlinkAt(home.fd, Buffer.from("other\0x"), false), { code: "EINVAL" });
  assert.throws(() => unlinkAt(home.fd, Buffer.alloc(5000, 97), false), { code: "ENAMETOOLONG" });
  assert.deepEqual(entries(home.fd), ["other"]);
});

test("a wide folder is read in pieces, and on from where another reader was", {
  skip,
}, async () => {
  await using home = await open();
  const names = Array.from({ length: 3000 }, (_, index) => `name-${index}`);
  for (const name of names) makeNodeAt(home.fd, Buffer.from(name), FileType.fifo | 0o600);
  const first = new DirectoryReader(home.fd);
  const seen: string[] = [];
  const read = (reader: DirectoryReader, most: number): void => {
    for (let next = reader.next(); next !== undefined; next = reader.next()) {
      assert.ok(next.type === 1 || next.type === EntryType.unknown);
      seen.push(next.name.toString());
      if (seen.length >= most) return;
    }
  };
  read(first, 1234);
  const second = new DirectoryReader(home.fd);
  second.seek(first.position);
  read(second, Number.POSITIVE_INFINITY);
  assert.deepEqual(seen.sort(), names.sort());
});
