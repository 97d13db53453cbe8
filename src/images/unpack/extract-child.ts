// SPDX-License-Identifier: Apache-2.0
import { constants, createReadStream, openSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { errnoOf, isFault, toFault } from "../../base/errors.ts";
import { changeRootTo } from "../../base/os/inode.ts";
import { answerLine, nextLine, stepDone } from "../../base/spoken-lines.ts";
import { Sha256 } from "../../content/digest.ts";
import { compareTrees } from "./compare-trees.ts";
import { extractInside } from "./extract-inside.ts";
import type {
  CompareTask,
  ExtractAnswer,
  ExtractorTask,
  ExtractTask,
  HashTask,
} from "./extract-layer.ts";
import { dressImplicitFolders } from "./implicit-folders.ts";
import { namesForAnswer, readNames, writeNames } from "./name-list.ts";

// The program that extracts layers. It is a process of its own because chroot is for a whole process, and because it
// may block. It reads one ExtractorTask a line, the first perhaps long after its start, and answers each with an
// ExtractAnswer. It ends with its input.

const maxMessageChars = 1000;
const hashedAtOnce = 1024 * 1024;
/** Errors of the kernel, or of zlib, that are the layer's own fault. */
const refusals: readonly string[] = [
  "ENAMETOOLONG",
  "ELOOP",
  "EMLINK",
  "EINVAL",
  "ERANGE",
  "E2BIG",
  "ERR_OUT_OF_RANGE",
];

process.umask(0);

const hostRoot = openSync("/", constants.O_RDONLY | constants.O_DIRECTORY);
for (let line = nextLine(); line !== undefined; line = nextLine()) {
  const task = JSON.parse(line) as ExtractorTask;
  const answer = await perform(task).catch(failure);
  answerLine(JSON.stringify(answer));
}

function perform(task: ExtractorTask): Promise<ExtractAnswer> {
  if (task.kind === "dress") return dress(task);
  if (task.kind === "compare") return compare(task);
  return task.kind === "hash" ? hash(task) : extract(task);
}

async function extract(task: ExtractTask): Promise<ExtractAnswer> {
  const { tree, ...extracted } = await (async () => {
    try {
      return await extractInside(task, { step: stepDone, entered: flushCompileCache });
    } finally {
      changeRootTo(hostRoot);
    }
  })();
  const { lowers, implicitList } = task;
  if (lowers) {
    dressImplicitFolders(task.root, lowers, tree.implicit(), stepDone);
    return { ok: true, ...extracted, implicit: [] };
  }
  const names = namesForAnswer(tree.implicit());
  if (names === undefined && implicitList) writeNames(implicitList, tree.implicit(), stepDone);
  return { ok: true, ...extracted, implicit: names ?? null };
}

async function dress({
  root,
  lowers,
  implicitList,
}: Extract<ExtractorTask, { kind: "dress" }>): Promise<ExtractAnswer> {
  dressImplicitFolders(root, lowers, readNames(implicitList), stepDone);
  return { ok: true };
}

async function hash({ blob }: HashTask): Promise<ExtractAnswer> {
  const sum = new Sha256();
  for await (const chunk of createReadStream(blob, { highWaterMark: hashedAtOnce })) {
    sum.update(chunk as Buffer);
    stepDone();
  }
  return { ok: true, digest: sum.digest() };
}

async function compare(task: CompareTask): Promise<ExtractAnswer> {
  return { ok: true, difference: compareTrees(task, stepDone) ?? "" };
}

function failure(error: unknown): ExtractAnswer {
  const { code, message } = toFault(error);
  const errno = errnoOf(error) ?? "";
  const isRefused = !isFault(error) && (refusals.includes(errno) || /^Z(STD_error)?_/.test(errno));
  return {
    ok: false,
    code: isRefused ? "INVALID_ARGUMENT" : code,
    message: message.slice(0, maxMessageChars),
  };
}
