// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";
import type { Cancellable } from "../../base/cancellable.ts";
import { type FaultCode, fault } from "../../base/errors.ts";
import { childEnvironment, converse } from "../../base/process.ts";
import type { Digest } from "../../content/ports.ts";
import type { SnapshotUsage } from "../../snapshots/ports.ts";

/** What the child process is told. */
export interface ExtractTask {
  /** File of the layer, compressed or not. */
  readonly blob: string;
  /** Folder to extract into: the child's root. */
  readonly root: string;
  /** What the plain archive's digest must be; taken as it is when left out. */
  readonly diffId?: Digest;
  /** Default "overlay". */
  readonly whiteouts?: Whiteouts;
}

/**
 * What a deletion becomes: a mark that hides what the folders below have (the folder is an overlayfs
 * layer), or the removal of what the folder itself has (it holds all layers at once).
 */
export type Whiteouts = "overlay" | "remove";

/** What the child process answers. Names are bytes, one character each. */
export type ExtractAnswer =
  | {
      readonly ok: true;
      readonly implicit: readonly string[];
      readonly diffId: Digest;
      readonly plainBytes: number;
      readonly sizeBytes: number;
      readonly inodes: number;
    }
  | { readonly ok: false; readonly code: FaultCode; readonly message: string };

export interface ExtractedLayer {
  /** Folders without a member of their own, to be made like the layers below; "" is the root. */
  readonly implicit: readonly string[];
  readonly usage: SnapshotUsage;
  /** Digest and length of the plain archive. */
  readonly diffId: Digest;
  readonly plainBytes: bigint;
}

const program = fileURLToPath(new URL("extract-child.ts", import.meta.url));

/** A process that extracts layers, one after another. Disposing ends it, whatever it is at. */
export interface Extractor extends Disposable {
  /** Errors as extractLayer; the process is good for no other layer then. */
  extract(task: ExtractTask, call: Cancellable): Promise<ExtractedLayer>;
}

/** Starts a process for layers that are still on their way: meanwhile it loads its program. */
export function startExtractor(): Extractor {
  const conversation = converse(process.execPath, [program], {
    env: compileCache(),
    maxOutputBytes: 256 * 1024 * 1024,
  });
  return {
    extract: async (task, call) => layerOf(await conversation.ask(JSON.stringify(task), call)),
    [Symbol.dispose]: () => conversation[Symbol.dispose](),
  };
}

/**
 * Extracts a layer into a folder, in a chrooted process. The folder holds rubbish after a failure.
 * Errors: INVALID_ARGUMENT (hostile or malformed layer), FAILED_PRECONDITION (wrong diff id),
 * RESOURCE_EXHAUSTED (limits, disk full), the signal's own.
 */
export async function extractLayer(task: ExtractTask, call: Cancellable): Promise<ExtractedLayer> {
  using extractor = startExtractor();
  return await extractor.extract(task, call);
}

function layerOf(text: string): ExtractedLayer {
  const answer = JSON.parse(text) as ExtractAnswer;
  if (!answer.ok) throw fault(answer.code, answer.message);
  return {
    implicit: answer.implicit,
    diffId: answer.diffId,
    plainBytes: BigInt(answer.plainBytes),
    usage: { sizeBytes: BigInt(answer.sizeBytes), inodes: BigInt(answer.inodes) },
  };
}

// Of the daemon's environment the child needs this alone: without it each one compiles its code anew,
// 0.2 s for a layer of whatever size.
function compileCache(): Record<string, string | undefined> {
  const { NODE_COMPILE_CACHE } = childEnvironment(undefined);
  return { NODE_COMPILE_CACHE };
}
