// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { makeFifo } from "../base/os/fifo.ts";
import { PipePeek } from "../base/os/pipe-peek.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { ContainerPump } from "./container-pump.ts";
import { recordBytes } from "./journal-record.ts";
import type { StreamName } from "./line-formatter.ts";
import { LogClock } from "./log-clock.ts";
import { LogFile } from "./log-file.ts";
import { OutputBuffer } from "./output-buffer.ts";
import { ReadJournal, StreamJournal } from "./read-journal.ts";

const { writeSync, ftruncateSync } = fs;
const take: unknown = Reflect.get(StreamJournal.prototype, "take");
type Take = typeof StreamJournal.prototype.take;

/**
 * A process that can die before and after each of its writes, in the middle of one, and around what it takes from a
 * FIFO. What it does after its death has no effect.
 */
class Mortal {
  /** At which of these points it dies, from 1 on. */
  #left = Number.POSITIVE_INFINITY;

  constructor(t: TestContext) {
    t.mock.method(fs, "writeSync", (...args: [number, Buffer, number, number, number | null]) =>
      this.#write(args),
    );
    t.mock.method(fs, "ftruncateSync", (fd: number, length: number) => {
      this.#step(() => ftruncateSync(fd, length));
    });
    const step = (work: () => void): void => this.#step(work);
    t.mock.method(StreamJournal.prototype, "take", function (this: StreamJournal, ...args) {
      step(() => void (take as Take).apply(this, args));
      return args[1];
    } satisfies Take);
  }

  get isDead(): boolean {
    return this.#left <= 0;
  }

  diesAt(point: number): void {
    this.#left = point;
  }

  #passes(): boolean {
    if (!this.isDead) this.#left -= 1;
    return !this.isDead;
  }

  #step(work: () => void): void {
    if (this.#passes()) work();
    this.#passes();
  }

  #write([fd, from, ...rest]: [number, Buffer | string, ...unknown[]]): number {
    const bytes = Buffer.from(from);
    const [offset = 0, length = bytes.length, at = null] = rest as [number?, number?, number?];
    // The kernel copies what lies in one page in one go.
    const pieces = length <= recordBytes && at !== null ? [length] : cut(length);
    let done = 0;
    for (const piece of pieces) {
      this.#step(() => {
        writeSync(fd, bytes, offset + done, piece, at === null ? null : at + done);
      });
      done += piece;
    }
    return length;
  }
}

function broken(): never {
  assert.fail("nothing fails here, and no stream ends");
}

/** So that it may be broken off in a time, in a line, and before the very last byte. */
function cut(length: number): number[] {
  const pieces = [9, 31, Math.floor(length / 2), length - 1].filter((end) => end < length);
  const ends = [...new Set([...pieces.filter((end) => end > 0), length])].toSorted((a, b) => a - b);
  return ends.map((end, index) => end - (ends[index - 1] ?? 0));
}

/** What happens to a container, in turn: it writes, or its log is rotated. */
type Act = readonly [StreamName, string] | "rename" | "reopen";

class Stage {
  readonly #folder: string;
  readonly #fifos: Record<StreamName, number>;
  readonly #mortal: Mortal;
  readonly #maxLineBytes: number;
  readonly #peek: PipePeek;
  #pump: ContainerPump | undefined;
  #renamed = 0;
  lives = 0;

  constructor(root: string, mortal: Mortal, maxLineBytes: number) {
    this.#folder = fs.mkdtempSync(path.join(root, "run-"));
    this.#mortal = mortal;
    this.#peek = new PipePeek();
    this.#maxLineBytes = maxLineBytes;
    const hold = (name: StreamName): number => {
      makeFifo(path.join(this.#folder, name));
      return fs.openSync(path.join(this.#folder, name), fs.constants.O_RDWR);
    };
    this.#fifos = { stdout: hold("stdout"), stderr: hold("stderr") };
  }

  get #log(): string {
    return path.join(this.#folder, "0.log");
  }

  begin(): void {
    this.lives += 1;
    const place = { file: this.#log, folder: this.#folder };
    const file = new LogFile(place, { began: broken, ended: broken });
    const pump = new ContainerPump({
      file,
      guard: {
        journal: new ReadJournal(path.join(this.#folder, "journal")),
        peek: this.#peek,
        onTrouble: broken,
      },
      maxLineBytes: this.#maxLineBytes,
      clock: new LogClock(),
      output: new OutputBuffer(),
      busy: (work) => work(),
      onUnfinished: () => {},
      onProgress: () => {},
      onEnded: broken,
    });
    this.#pump = pump;
    file.open();
    for (const name of ["stdout", "stderr"] as const) {
      pump.addStream(name, path.join(this.#folder, name), undefined);
    }
    assert.ok(pump.recover() || this.#mortal.isDead);
    file.mend();
    pump.start({ drainFirst: true });
  }

  act(act: Act): void {
    if (act === "rename") {
      this.#renamed += 1;
      fs.renameSync(this.#log, `${this.#log}.${this.#renamed}`);
    } else if (act === "reopen") {
      this.#pump?.file.reopen();
    } else {
      writeSync(this.#fifos[act[0]], Buffer.from(act[1], "latin1"));
      this.#pump?.readRest();
    }
  }

  /** As a daemon that is told to stop, or one that has died. */
  end(): void {
    this.#pump?.[Symbol.dispose]();
    this.#pump = undefined;
  }

  /** `F content` of one stream, in order. */
  lines(stream: StreamName): string[] {
    const files = Array.from({ length: this.#renamed }, (_, index) => `${this.#log}.${index + 1}`);
    const text = [...files, this.#log].map((file) => fs.readFileSync(file, "latin1")).join("");
    assert.ok(text.endsWith("\n"));
    return text
      .slice(0, -1)
      .split("\n")
      .map((line) => /^\S{30} (stdout|stderr) (.*)$/s.exec(line) ?? assert.fail(line))
      .filter((match) => match[1] === stream)
      .map((match) => match[2] ?? "");
  }

  close(): void {
    this.end();
    this.#peek[Symbol.dispose]();
    fs.closeSync(this.#fifos.stdout);
    fs.closeSync(this.#fifos.stderr);
    removeFolderSync(this.#folder);
  }
}

/** Plays it once with each death there can be, and again with a second one soon after that. */
function play(
  t: TestContext,
  acts: readonly Act[],
  want: Readonly<Record<StreamName, readonly string[]>>,
  { maxLineBytes = 64, diesAgain = false } = {},
): void {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "berth crash-"));
  t.after(() => removeFolderSync(root));
  const mortal = new Mortal(t);
  let most = 0;
  for (let point = 1; ; point += 1) {
    for (const second of diesAgain ? [0, 1 + (point % 9)] : [0]) {
      const stage = new Stage(root, mortal, maxLineBytes);
      mortal.diesAt(point);
      stage.begin();
      const deaths = second === 0 ? [] : [second];
      for (const act of [...acts, undefined]) {
        if (act === undefined) stage.end();
        else stage.act(act);
        while (mortal.isDead) {
          stage.end();
          mortal.diesAt(deaths.pop() ?? Number.POSITIVE_INFINITY);
          stage.begin();
        }
      }
      stage.end();
      for (const stream of ["stdout", "stderr"] as const) {
        const is = stage.lines(stream);
        assert.deepEqual(is, want[stream], `${stream} after a death at ${point}, then ${second}`);
      }
      most = Math.max(most, stage.lives);
      stage.close();
      if (stage.lives === 1) {
        assert.ok(point > 20 && most === (diesAgain ? 3 : 2));
        return;
      }
    }
  }
}

test("each line of both streams is there once, wherever the daemon is killed", (t) => {
  const acts: Act[] = [
    ["stdout", "first\nsec"],
    ["stderr", "oh\nmy"],
    ["stdout", "o"],
    ["stdout", "nd\n\n\nwith CR\r"],
    ["stderr", " god\n"],
    ["stdout", "\nbytes \xff\x00"],
    ["stdout", "\x00\xff\n"],
  ];
  play(
    t,
    acts,
    {
      stdout: ["F first", "F second", "F ", "F ", "F with CR", "F bytes \xff\x00\x00\xff"],
      stderr: ["F oh", "F my god"],
    },
    { diesAgain: true },
  );
});

test("lines that are all the same are counted right, wherever the daemon is killed", (t) => {
  const flood = "y\n".repeat(40);
  const acts: Act[] = Array.from({ length: 4 }, () => ["stdout", flood]);
  play(t, acts, { stdout: Array.from({ length: 160 }, () => "F y"), stderr: [] });
});

test("lines beyond the limit are cut as ever, wherever the daemon is killed", (t) => {
  const acts: Act[] = [
    ["stdout", "x".repeat(40)],
    ["stdout", "x".repeat(40)],
    ["stdout", `${"x".repeat(130)}\nshort\n${"z".repeat(64)}\r`],
    ["stdout", "\nend"],
  ];
  const cutLine = ["P ".padEnd(66, "x"), "P ".padEnd(66, "x"), "P ".padEnd(66, "x")];
  play(t, acts, {
    stdout: [...cutLine, `F ${"x".repeat(18)}`, "F short", `F ${"z".repeat(64)}`, "P end"],
    stderr: [],
  });
});

test("what fills the buffer of lines again and again is there once, wherever the daemon is killed", (t) => {
  const acts: Act[] = [
    ["stdout", `a${"\n".repeat(7000)}b`],
    ["stdout", "c\n"],
  ];
  const stdout = ["F a", ...Array.from({ length: 6999 }, () => "F "), "F bc"];
  play(t, acts, { stdout, stderr: [] });
});

test("a rotation loses and doubles nothing, wherever the daemon is killed", (t) => {
  const acts: Act[] = [
    ["stdout", "one\ntwo\nthr"],
    "rename",
    ["stdout", "ee\nfour\n"],
    ["stderr", "between\n"],
    "reopen",
    ["stdout", "five\nsix"],
    "rename",
    "reopen",
    ["stdout", "\nseven\n"],
  ];
  const stdout = ["F one", "F two", "F three", "F four", "F five", "F six", "F seven"];
  play(t, acts, { stdout, stderr: ["F between"] }, { diesAgain: true });
});
