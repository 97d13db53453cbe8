// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";
import type { Cancellable } from "../../base/cancellable.ts";
import { type FaultCode, fault } from "../../base/errors.ts";
import { ownHeadroom } from "../../base/memory/memory-headroom.ts";
import { extractorBytes, ourShares } from "../../base/memory/memory-shares.ts";
import { childEnvironment, converse } from "../../base/process.ts";
import { startTimer } from "../../base/timers.ts";
import type { DigestAlgorithm } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import type { SnapshotUsage } from "../../snapshots/ports.ts";
import type { AddedUsage } from "./lower-links.ts";

/** A layer to be extracted. */
export interface ExtractTask {
  /** File of the layer, compressed or not. */
  readonly blob: string;
  /** The file is still being written, and has so many bytes in the end. The answer has its digest then. */
  readonly growsTo?: number;
  /** Of that digest; sha256 when left out. */
  readonly blobAlgorithm?: DigestAlgorithm;
  /** Folder to extract into: the child's root. */
  readonly root: string;
  /** The digest that the plain archive must have; any when left out. */
  readonly diffId?: Digest;
  /** Default "overlay". */
  readonly whiteouts?: Whiteouts;
  /** For an archive that is no layer: files and folders only, and no more than so many. */
  readonly plain?: { readonly entries: number; readonly totalBytes: number };
  /**
   * The folders of the layers below, top first, where they are known already: implied folders are made to look as
   * there, and the answer lists none.
   */
  readonly lowers?: readonly string[];
  /**
   * A file to be made for the implied folders when they are too many for an answer, or where there are hard links to the
   * layers below, which have a file beside.
   */
  readonly implicitList?: string;
}

/** What a layer may cost depends on its blob, and on what its archive has taken of that already. */
export interface LayerSizes {
  readonly blobBytes: number;
  readonly plainBytes: number;
}

/** Makes the folders of a list, which an extraction has written, look as in the layers below, and hard links to those. */
export interface DressTask extends LayerSizes {
  readonly root: string;
  readonly lowers: readonly string[];
  readonly implicitList: string;
}

/** Reads a blob's file for its digest. */
export interface HashTask {
  readonly blob: string;
  readonly algorithm: DigestAlgorithm;
}

/** Holds a layer's folder against one that its blob was extracted into anew. */
export interface CompareTask {
  readonly expected: string;
  readonly found: string;
}

/** The child process's input, a line each. */
export type ExtractorTask =
  | ({ readonly kind: "extract" } & ExtractTask)
  | ({ readonly kind: "hash" } & HashTask)
  | ({ readonly kind: "compare" } & CompareTask)
  | ({ readonly kind: "dress" } & DressTask);

/**
 * How a deletion is carried out: by a mark that hides what the folders below have (the folder is an overlayfs layer),
 * or by removing what the folder itself has (it holds all layers at once).
 */
export type Whiteouts = "overlay" | "remove";

/** What the child process answers. Names are bytes, one character each. */
export type ExtractAnswer =
  | ({ readonly ok: true } & Partial<ExtractedFacts & CheckedFacts>)
  | { readonly ok: false; readonly code: FaultCode; readonly message: string };

interface CheckedFacts {
  readonly digest: Digest;
  /** "" when there is none. */
  readonly difference: string;
  readonly added: AddedUsage;
}

interface ExtractedFacts {
  readonly blobDigest?: Digest;
  /** null when they are in the task's file. */
  readonly implicit: readonly string[] | null;
  readonly diffId: Digest;
  readonly blobBytes: number;
  readonly plainBytes: number;
  readonly sizeBytes: number;
  readonly inodes: number;
  readonly leftOut: readonly string[];
  readonly hasLowerLinks?: boolean;
}

export interface ExtractedLayer {
  /** Of the file, where it was still being written. */
  readonly blobDigest?: Digest;
  /**
   * Folders without a member of their own, to be made like the layers below; "" is the root. A few, or
   * "listed" when they are in the task's file.
   */
  readonly implicit: readonly string[] | "listed";
  /** There are hard links to the layers below, which are yet to be made; then `implicit` is "listed". */
  readonly hasLowerLinks: boolean;
  readonly usage: SnapshotUsage;
  readonly blobBytes: number;
  /** Digest and length of the plain archive. */
  readonly diffId: Digest;
  readonly plainBytes: bigint;
  /** Members that were left out for their types, which are not known: a few of them, for a message. */
  readonly leftOut: readonly string[];
}

const program = fileURLToPath(new URL("extract-child.ts", import.meta.url));

/**
 * The longest time without a step done, be it one file or half a MiB of one. After it the disk does not answer, or
 * the layer has found a way to stop us.
 */
const silenceMs = 120_000;
/**
 * Limit of the child's heap. What a child remembers takes less; a layer that finds a way around that ends its own
 * child only.
 */
const heapMiB = ourShares().extractorHeapMiB;
/** V8's 16 MB for young objects make it faster, and are too much for a daemon with little memory. */
const heapFlags = heapMiB < 512 ? ["--max-semi-space-size=1"] : [];
const startedMs = 2_000;
const maxAnswerBytes = 256 * 1024;

/** A process that extracts layers, one after another. Disposing ends it at once. */
export interface Extractor extends Disposable {
  readonly pid: number;
  readonly isRunning: boolean;
  /** Errors as extractLayer; after one the process must not be used for another layer. */
  extract(task: ExtractTask, call: Cancellable): Promise<ExtractedLayer>;
  /** Answers how much the layer has become more. INVALID_ARGUMENT for a hard link to no file. */
  dress(task: DressTask, call: Cancellable): Promise<AddedUsage>;
  /** The digest of a file's bytes. Errors of the disk as they are. */
  hash(task: HashTask, call: Cancellable): Promise<Digest>;
  /** The first difference, for a message; "" when there is none. */
  compare(task: CompareTask, call: Cancellable): Promise<string>;
  /** Stops the process, or lets it go on; no limit counts the time that it is stopped. */
  pause(isPaused: boolean): void;
}

/** Starts a process for layers that are still on their way: meanwhile it loads its program. */
export function startExtractor(): Extractor {
  const args = [`--max-old-space-size=${heapMiB}`, ...heapFlags, program];
  const conversation = converse(process.execPath, args, {
    env: compileCache(),
    maxOutputBytes: maxAnswerBytes,
  });
  const ask = async (task: ExtractorTask, { signal }: Cancellable): Promise<ExtractAnswer> => {
    const text = await conversation.ask(JSON.stringify(task), { signal, silenceMs });
    const answer = JSON.parse(text) as ExtractAnswer;
    if (!answer.ok) throw fault(answer.code, answer.message);
    return answer;
  };
  return {
    pid: conversation.pid,
    get isRunning() {
      return conversation.isRunning;
    },
    extract: async (task, call) => layerOf(await ask({ kind: "extract", ...task }, call)),
    dress: async (task, call) => checkedBy(await ask({ kind: "dress", ...task }, call)).added,
    hash: async (task, call) => checkedBy(await ask({ kind: "hash", ...task }, call)).digest,
    compare: async (task, call) =>
      checkedBy(await ask({ kind: "compare", ...task }, call)).difference,
    pause: (isPaused) => conversation.pause(isPaused),
    [Symbol.dispose]: () => conversation[Symbol.dispose](),
  };
}

/**
 * The same once there is memory for one more process. RESOURCE_EXHAUSTED when there is none for half a minute.
 */
export async function claimExtractor(call: Cancellable): Promise<Extractor> {
  const claim = { what: "a process that extracts a layer", patienceMs: 30_000 };
  const room = await ownHeadroom().claim(extractorBytes, claim, call);
  // By then it has the memory it needs, and the cgroup counts it.
  startTimer(() => room[Symbol.dispose](), startedMs).unref();
  return startExtractor();
}

/**
 * Extracts a layer into a folder, in a chrooted process. After a failure the folder holds rubbish. Errors:
 * INVALID_ARGUMENT (hostile or malformed layer), FAILED_PRECONDITION (wrong diff id), RESOURCE_EXHAUSTED (limits,
 * disk full), DEADLINE_EXCEEDED (no progress), the signal's own.
 */
export async function extractLayer(task: ExtractTask, call: Cancellable): Promise<ExtractedLayer> {
  using extractor = await claimExtractor(call);
  return await extractor.extract(task, call);
}

function checkedBy(answer: ExtractAnswer): CheckedFacts {
  return answer as unknown as CheckedFacts;
}

function layerOf(answer: ExtractAnswer): ExtractedLayer {
  const facts = answer as ExtractedFacts;
  const { implicit, diffId, blobBytes, plainBytes, sizeBytes, inodes, leftOut, blobDigest } = facts;
  return {
    ...(blobDigest !== undefined && { blobDigest }),
    leftOut,
    hasLowerLinks: facts.hasLowerLinks === true,
    implicit: implicit ?? "listed",
    diffId,
    blobBytes,
    plainBytes: BigInt(plainBytes),
    usage: { sizeBytes: BigInt(sizeBytes), inodes: BigInt(inodes) },
  };
}

// The child needs nothing of the daemon's environment but this: without the first each one compiles its code anew,
// 0.2 s for a layer of whatever size, without the second it keeps freed memory in many pools.
function compileCache(): Record<string, string | undefined> {
  const { NODE_COMPILE_CACHE, MALLOC_ARENA_MAX } = childEnvironment(undefined);
  return { NODE_COMPILE_CACHE, MALLOC_ARENA_MAX };
}
