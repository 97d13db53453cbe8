// SPDX-License-Identifier: Apache-2.0
import { constants, createReadStream, openSync, readdirSync, readSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { fault, RuntimeFault } from "../../base/errors.ts";
import { changeRoot, changeRootTo } from "../../base/os/inode.ts";
import { Sha256 } from "../../content/digest.ts";
import { TarReader } from "../tar/tar-reader.ts";
import { compressionOf, decompress } from "./decompress.ts";
import type { ExtractAnswer, ExtractTask } from "./extract-layer.ts";
import { LayerExtractor } from "./layer-extractor.ts";
import { bytesOf, type LayerTree } from "./layer-tree.ts";

// The program that extracts layers. It is a process of its own because chroot is for a whole process,
// and because it may block. It reads an ExtractTask a line, the first of which may come once the program
// is loaded, and answers each with an ExtractAnswer. It ends with its input.

process.umask(0);

const hostRoot = openSync("/", constants.O_RDONLY | constants.O_DIRECTORY);
for (let task = nextTask(); task !== undefined; task = nextTask()) {
  const answer = await extract(task).catch(failure);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  changeRootTo(hostRoot);
}

/** The next line of the input, which is never ahead of the answer before; undefined at its end. */
function nextTask(): ExtractTask | undefined {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = Buffer.alloc(4096);
    const length = readSync(0, piece);
    if (length === 0) return undefined;
    pieces.push(piece.subarray(0, length));
    if (piece[length - 1] === 10)
      return JSON.parse(Buffer.concat(pieces).toString()) as ExtractTask;
  }
}

async function extract({ blob, root, ...task }: ExtractTask): Promise<ExtractAnswer> {
  const fd = openSync(blob, "r");
  const start = Buffer.alloc(4);
  readSync(fd, start, 0, start.length, 0);
  const source = createReadStream(blob, { fd, start: 0, highWaterMark: 256 * 1024 });
  const hash = new Sha256();
  flushCompileCache(); // at the end of the process its folder would be looked for in the layer
  changeRoot(root);
  process.chdir("/");

  const extractor = new LayerExtractor({ whiteouts: task.whiteouts ?? "overlay" });
  let plainBytes = 0;
  const reader = new TarReader(extractor);
  for await (const chunk of decompress(source, compressionOf(start))) {
    hash.update(chunk);
    plainBytes += chunk.length;
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
  extractor.finish();
  const implicit = [...extractor.tree.implicit];
  return { ok: true, implicit, diffId, plainBytes, ...usageOf(extractor.tree) };
}

function usageOf(tree: LayerTree): { sizeBytes: number; inodes: number } {
  const linked = new Set<number>();
  let blocks = 0;
  let inodes = 0;
  const pending = [""];
  for (let dir = pending.pop(); dir !== undefined; dir = pending.pop()) {
    blocks += tree.stat(dir)?.blocks ?? 0;
    inodes += 1;
    for (const name of readdirSync(bytesOf(dir), { encoding: "latin1" })) {
      const at = `${dir}/${name}`;
      const stat = tree.stat(at);
      if (stat === undefined) continue;
      if (stat.isDirectory()) pending.push(at);
      else if (stat.nlink === 1 || !linked.has(stat.ino)) {
        if (stat.nlink > 1) linked.add(stat.ino);
        blocks += stat.blocks;
        inodes += 1;
      }
    }
  }
  return { sizeBytes: blocks * 512, inodes };
}

function failure(error: unknown): ExtractAnswer {
  if (error instanceof RuntimeFault) return { ok: false, code: error.code, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  const isFull = error instanceof Error && "code" in error && error.code === "ENOSPC";
  return { ok: false, code: isFull ? "RESOURCE_EXHAUSTED" : "UNKNOWN", message };
}
