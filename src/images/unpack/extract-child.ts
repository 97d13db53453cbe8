// SPDX-License-Identifier: Apache-2.0
import { constants, createReadStream, existsSync, openSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { errnoOf, isFault, toFault } from "../../base/errors.ts";
import { changeRootTo } from "../../base/os/inode.ts";
import { answerLine, nextLine, stepDone } from "../../base/spoken-lines.ts";
import { RunningDigest } from "../../content/digest.ts";
import { compareTrees } from "./compare-trees.ts";
import { extractInside } from "./extract-inside.ts";
import type {
  CompareTask,
  ExtractAnswer,
  ExtractorTask,
  ExtractTask,
  HashTask,
  LayerSizes,
} from "./extract-layer.ts";
import { dressImplicitFolders } from "./implicit-folders.ts";
import type { LowerLink } from "./later-links.ts";
import { defaultLayerLimits, noFile } from "./layer-extractor.ts";
import { cpuLimit, cpuWatch, inflatedLimit } from "./layer-limits.ts";
import type { AddedUsage, LayerOverLowers } from "./lower-links.ts";
import { linkList, namesForAnswer, readNames, writeNames } from "./name-list.ts";

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

const nothingAdded: AddedUsage = { sizeBytes: 0, inodes: 0 };

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
  const { tree, lowerLinks, ...extracted } = await (async () => {
    try {
      return await extractInside(task, { step: stepDone, entered: flushCompileCache });
    } finally {
      changeRootTo(hostRoot);
    }
  })();
  const { root, lowers, implicitList } = task;
  const [first] = lowerLinks;
  if (lowers) {
    dressImplicitFolders(root, lowers, tree.implicit(), stepDone);
    const added = first
      ? await makeLinks({ layer: root, lowers }, lowerLinks, extracted)
      : nothingAdded;
    return { ok: true, ...withAdded(extracted, added), implicit: [] };
  }
  if (first && implicitList === undefined) throw noFile(first.target);
  const names = first ? undefined : namesForAnswer(tree.implicit());
  if (names === undefined && implicitList) {
    writeNames(implicitList, tree.implicit(), stepDone);
    if (first) writeNames(linkList(implicitList), flat(lowerLinks), stepDone);
  }
  const hasLowerLinks = first !== undefined;
  return { ok: true, ...extracted, hasLowerLinks, implicit: names ?? null };
}

async function dress({
  root,
  lowers,
  implicitList,
  ...sizes
}: Extract<ExtractorTask, { kind: "dress" }>): Promise<ExtractAnswer> {
  dressImplicitFolders(root, lowers, readNames(implicitList), stepDone);
  const links = linkList(implicitList);
  if (!existsSync(links)) return { ok: true, added: nothingAdded };
  const added = await makeLinks({ layer: root, lowers }, pairs(readNames(links)), sizes);
  return { ok: true, added };
}

/** What only few layers need is loaded for those. */
async function makeLinks(
  tree: LayerOverLowers,
  links: Iterable<LowerLink>,
  { blobBytes, plainBytes }: LayerSizes,
): Promise<AddedUsage> {
  const { makeLowerLinks } = await import("./lower-links.ts");
  const checkCpu = cpuWatch(cpuLimit(blobBytes));
  const step = (): void => {
    stepDone();
    checkCpu();
  };
  const inAll = Math.min(defaultLayerLimits.totalBytes, inflatedLimit(blobBytes));
  return makeLowerLinks(tree, links, { step, mostBytes: Math.max(0, inAll - plainBytes) });
}

function withAdded<T extends AddedUsage>(extracted: T, { sizeBytes, inodes }: AddedUsage): T {
  return {
    ...extracted,
    sizeBytes: extracted.sizeBytes + sizeBytes,
    inodes: extracted.inodes + inodes,
  };
}

function* flat(links: readonly LowerLink[]): Generator<string, void, undefined> {
  for (const { at, target } of links) yield* [at, target];
}

function* pairs(names: Iterable<string>): Generator<LowerLink, void, undefined> {
  let at: string | undefined;
  for (const name of names) {
    if (at === undefined) at = name;
    else {
      yield { at, target: name };
      at = undefined;
    }
  }
}

async function hash({ blob, algorithm }: HashTask): Promise<ExtractAnswer> {
  const sum = new RunningDigest(algorithm);
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
