// SPDX-License-Identifier: Apache-2.0
// A container may have the folder of its pod's logs mounted: what it can put in place of its log file.
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { makeFifo } from "../base/os/fifo.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { openLogFile, openRotated } from "./open-log-file.ts";

interface Place {
  /** The pod's folder of logs. */
  readonly folder: string;
  /** `c/0.log` below it; only the folder `c` is there. */
  readonly file: string;
  /** Somebody else's folder. */
  readonly elsewhere: string;
}

function setUp(t: TestContext): Place {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "berth open log "));
  t.after(() => removeFolderSync(root));
  const place = { folder: path.join(root, "pod"), elsewhere: path.join(root, "elsewhere") };
  fs.mkdirSync(path.join(place.folder, "c"), { recursive: true });
  fs.mkdirSync(place.elsewhere);
  return { ...place, file: path.join(place.folder, "c", "0.log") };
}

const refused: readonly {
  readonly name: string;
  readonly lay: (place: Place, t: TestContext) => void;
  readonly told: { readonly code: string; readonly message?: RegExp };
}[] = [
  {
    name: "a FIFO",
    lay: ({ file }) => makeFifo(file),
    told: { code: "EINVAL", message: /0\.log is a FIFO, not a regular file$/ },
  },
  {
    name: "a FIFO that somebody reads",
    lay: ({ file }, t) => {
      makeFifo(file);
      const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
      t.after(() => fs.closeSync(fd));
    },
    told: { code: "EINVAL", message: /is a FIFO/ },
  },
  {
    name: "a link to a file elsewhere",
    lay: ({ file, elsewhere }) => {
      fs.writeFileSync(path.join(elsewhere, "crontab"), "");
      fs.symlinkSync(path.join(elsewhere, "crontab"), file);
    },
    told: { code: "EINVAL", message: /is a symbolic link/ },
  },
  {
    name: "a link to what is not there",
    lay: ({ file, elsewhere }) => fs.symlinkSync(path.join(elsewhere, "new"), file),
    told: { code: "EINVAL", message: /is a symbolic link/ },
  },
  {
    name: "a link to a device",
    lay: ({ file }) => fs.symlinkSync("/dev/full", file),
    told: { code: "EINVAL", message: /is a symbolic link/ },
  },
  {
    name: "a directory",
    lay: ({ file }) => fs.mkdirSync(file),
    told: { code: "EINVAL", message: /is a directory/ },
  },
  {
    name: "a socket",
    lay: ({ file }, t) => {
      const server = net.createServer().listen(file);
      t.after(() => server.close());
    },
    told: { code: "EINVAL", message: /is a socket/ },
  },
  {
    name: "a link in place of the container's folder",
    lay: ({ file, elsewhere }) => {
      fs.rmdirSync(path.dirname(file));
      fs.symlinkSync(elsewhere, path.dirname(file));
    },
    told: { code: "ENOTDIR" },
  },
];

for (const { name, lay, told } of refused) {
  for (const makeFolders of [true, false]) {
    const act = makeFolders ? "opened" : "reopened";
    test(`${name} is not ${act} as a log file, and nothing is made elsewhere`, (t) => {
      const place = setUp(t);
      lay(place, t);
      const before = fs.readdirSync(place.elsewhere);
      assert.throws(() => openLogFile(place, { makeFolders }), told);
      assert.deepEqual(fs.readdirSync(place.elsewhere), before);
    });
  }
}

test("a device is not opened as a log file", () => {
  const place = { file: "/dev/full", folder: "/dev" };
  assert.throws(() => openLogFile(place, { makeFolders: false }), {
    code: "EINVAL",
    message: "/dev/full is a device, not a regular file",
  });
});

test("the pod's folder of logs may be reached by links, and folders below it are made", (t) => {
  const { folder, elsewhere } = setUp(t);
  const link = path.join(elsewhere, "logs");
  fs.symlinkSync(folder, link);
  const place = { folder: link, file: path.join(link, "a/b/0.log") };
  for (const text of ["one\n", "two\n"]) {
    const fd = openLogFile(place, { makeFolders: true });
    fs.writeSync(fd, text);
    fs.closeSync(fd);
  }
  const made = path.join(folder, "a/b/0.log");
  assert.equal(fs.readFileSync(made, "utf8"), "one\ntwo\n");
  assert.equal(fs.statSync(made).mode & 0o777 & ~0o640, 0);
});

test("a rotated log is found by its inode, and nothing else that lies in its folder", (t) => {
  const place = setUp(t);
  fs.closeSync(openLogFile(place, { makeFolders: true }));
  const { dev: device, ino: inode } = fs.statSync(place.file, { bigint: true });
  fs.renameSync(place.file, `${place.file}.20261129`);
  fs.symlinkSync(`${place.file}.20261129`, place.file);
  fs.mkdirSync(`${place.file}.d`);
  const fd = openRotated(place, { device, inode });
  assert.ok(fd !== undefined);
  assert.equal(fs.fstatSync(fd, { bigint: true }).ino, inode);
  fs.closeSync(fd);
  fs.rmSync(`${place.file}.20261129`);
  assert.equal(openRotated(place, { device, inode }), undefined);
});
