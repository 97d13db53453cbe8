// SPDX-License-Identifier: Apache-2.0
import { createWriteStream } from "node:fs";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import { toFault } from "../base/errors.ts";
import { changeRoot } from "../base/os/inode.ts";
import { answerLine, stepDone } from "../base/spoken-lines.ts";
import { RunningDigest } from "../content/digest.ts";
import { changeArchive } from "./change-archive.ts";
import type { DiffAnswer, DiffTask } from "./make-diff.ts";

// The program that packs the difference of two trees. It is a process of its own because it walks trees that a
// container may be changing: inside the chroot no link leads out of them. Its argument is a DiffTask. Its output is
// progress and then, on the last line, a DiffAnswer; an exit code other than 0 counts before that.

const maxMessageChars = 1000;

process.exitCode = 1;

const task = JSON.parse(process.argv[2] ?? "{}") as DiffTask;
let answer: DiffAnswer;
try {
  answer = await pack(task);
} catch (error) {
  answer = failure(error);
}
answerLine(JSON.stringify(answer));
if (answer.ok) process.exitCode = 0;

async function pack({ root, out, lower, upper, ...task }: DiffTask): Promise<DiffAnswer> {
  const output = createWriteStream(out, { mode: 0o600 });
  await new Promise<void>((resolve, reject) => {
    output.once("open", () => resolve());
    output.once("error", reject);
  });
  const hash = new RunningDigest();
  const tap = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      stepDone();
      hash.update(chunk);
      done(null, chunk);
    },
  });
  changeRoot(root);
  process.chdir("/");
  const latestNanos = task.latestNanos === undefined ? undefined : BigInt(task.latestNanos);
  const archive = Readable.from(changeArchive({ lower, upper, latestNanos, step: stepDone }), {
    objectMode: false,
  });
  if (task.compression === "none") await pipeline(archive, tap, output);
  else await pipeline(archive, tap, compressor(task.compression), output);
  return { ok: true, diffId: hash.digest() };
}

function compressor(compression: "gzip" | "zstd"): Transform {
  return compression === "gzip" ? zlib.createGzip() : zlib.createZstdCompress();
}

function failure(error: unknown): DiffAnswer {
  const { code, message } = toFault(error);
  return { ok: false, code, message: message.slice(0, maxMessageChars) };
}
