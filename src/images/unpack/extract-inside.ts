// SPDX-License-Identifier: Apache-2.0
import { fstatSync, openSync, readSync } from "node:fs";
import { fault } from "../../base/errors.ts";
import { changeRoot } from "../../base/os/inode.ts";
import { algorithmOf, RunningDigest } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import { TarReader } from "../tar/tar-reader.ts";
import { bytesOf, growingBytesOf } from "./blob-source.ts";
import { decompress, magicBytes, readableCompression } from "./decompress.ts";
import type { ExtractTask } from "./extract-layer.ts";
import type { LowerLink } from "./later-links.ts";
import { defaultLayerLimits, LayerExtractor } from "./layer-extractor.ts";
import { cpuLimit, cpuWatch, inflatedLimit } from "./layer-limits.ts";
import type { LayerTree } from "./layer-tree.ts";
import { usageOf } from "./tree-usage.ts";

export interface ExtractedTree {
  readonly tree: LayerTree;
  readonly diffId: Digest;
  readonly blobDigest?: Digest;
  readonly blobBytes: number;
  readonly plainBytes: number;
  readonly sizeBytes: number;
  readonly inodes: number;
  readonly leftOut: readonly string[];
  /** Hard links to files of the layers below, which are not made yet. */
  readonly lowerLinks: readonly LowerLink[];
}

export interface ExtractWatch {
  /** Called for each piece of work done. */
  readonly step: () => void;
  /** Called before the root is changed. */
  readonly entered: () => void;
}

/** Changes the process's root to the task's folder and extracts the layer into it. The root stays changed. */
export async function extractInside(
  { blob, root, ...task }: ExtractTask,
  { step: stepDone, entered }: ExtractWatch,
): Promise<ExtractedTree> {
  const fd = openSync(blob, "r");
  const start = Buffer.alloc(magicBytes);
  readSync(fd, start, 0, start.length, 0);
  const { growsTo } = task;
  const size = growsTo ?? fstatSync(fd).size;
  const checkCpu = cpuWatch(cpuLimit(size));
  const step = (): void => {
    stepDone();
    checkCpu();
  };
  const source =
    growsTo === undefined
      ? bytesOf(fd)
      : growingBytesOf(fd, { sizeBytes: growsTo, waiting: stepDone });
  const blobHash = growsTo === undefined ? undefined : new RunningDigest(task.blobAlgorithm);
  let readBytes = 0;
  source.on("data", (piece: Buffer) => {
    stepDone(); // much of it may inflate to nothing
    blobHash?.update(piece);
    readBytes += piece.length;
  });
  source.pause();
  const hash = new RunningDigest(task.diffId && algorithmOf(task.diffId));
  entered(); // before: at the end of the process V8's compile cache would look for its folder in the layer
  changeRoot(root);
  process.chdir("/");

  const { whiteouts = "overlay", plain } = task;
  const limits = { ...defaultLayerLimits, ...plain };
  const maxBytes = Math.min(limits.totalBytes, inflatedLimit(size));
  const extractor = new LayerExtractor({ whiteouts, step, limits, isPlain: plain !== undefined });
  let plainBytes = 0;
  const reader = new TarReader(extractor);
  for await (const chunk of decompress(source, readableCompression(start))) {
    step();
    hash.update(chunk);
    plainBytes += chunk.length;
    if (plainBytes > maxBytes) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `layer is too large: it inflates from ${size} bytes beyond ${maxBytes}`,
      );
    }
    reader.push(chunk);
  }
  reader.finish();
  const diffId = hash.digest();
  if (task.diffId !== undefined && task.diffId !== diffId) {
    throw fault(
      "FAILED_PRECONDITION",
      `layer has diff id ${diffId}, its image says ${task.diffId}`,
    );
  }
  const lowerLinks = extractor.finish();
  const { tree, leftOut } = extractor;
  const usage = extractor.usage ?? usageOf(step);
  const found = { tree, diffId, blobBytes: size, plainBytes, leftOut, lowerLinks, ...usage };
  return blobHash && readBytes === size ? { ...found, blobDigest: blobHash.digest() } : found;
}
