// SPDX-License-Identifier: Apache-2.0
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { errnoOf, toFault } from "../base/errors.ts";
import { answerLine, stepDone } from "../base/spoken-lines.ts";
import { packFolder } from "./folder-tar.ts";
import type { PackAnswer, PackTask } from "./pack-archive.ts";

// The program that packs a checkpoint. Its argument is a PackTask, its output signs of life and then, on the last
// line, a PackAnswer. The exit code fails first.

const maxMessageChars = 1000;

process.exitCode = 1;

const task = JSON.parse(process.argv[2] ?? "{}") as PackTask;
let answer: PackAnswer;
try {
  await pack(task);
  answer = { ok: true };
} catch (error) {
  const { code, message } = toFault(error);
  answer = { ok: false, code, message: message.slice(0, maxMessageChars), errno: errnoOf(error) };
}
answerLine(JSON.stringify(answer));
if (answer.ok) process.exitCode = 0;

async function pack({ folder, out }: PackTask): Promise<void> {
  const output = createWriteStream(out, { flags: "wx", mode: 0o600, flush: true });
  await pipeline(spoken(packFolder(folder)), output);
}

async function* spoken(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    stepDone();
    yield chunk;
  }
}
