// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { ImageRecipe, LayerCompression, LayerEntry } from "../test/support/oci-image.ts";

/** What the files are: made, of these sizes, or the programs and libraries of this machine. */
export type FileSizes = "small" | "large" | "mixed" | "machine";

/** An image for the pull bench. */
export interface PullCase {
  /** Plain bytes of all layers, about. */
  readonly mib: number;
  readonly layers: number;
  readonly files: FileSizes;
  readonly compression: LayerCompression;
}

const small = 4 << 10;
const between = 512 << 10;
const large = 8 << 20;

export function titleOf({ mib, layers, files, compression }: PullCase): string {
  return `${mib} MiB, ${layers} ${layers === 1 ? "layer" : "layers"}, ${files}, ${compression}`;
}

/** Half of each file compresses away, but for those of the machine. */
export function pullRecipe({ mib, layers, files, compression }: PullCase): ImageRecipe {
  const bytes = mib * (1 << 20);
  return {
    config: { Cmd: ["true"] },
    layers: files === "mixed" && layers === 3 ? threeKinds(bytes) : alike(bytes, layers, files),
    compression,
  };
}

/** A layer of many small files, one of some large ones, one between. */
function threeKinds(bytes: number): LayerEntry[][] {
  return [
    filesOf("small", bytes / 4, 16 << 10),
    filesOf("large", bytes / 2, large),
    filesOf("between", bytes / 4, between),
  ];
}

function alike(bytes: number, layers: number, files: FileSizes): LayerEntry[][] {
  const each = bytes / layers;
  if (files === "machine") return machineFiles(each, layers);
  return Array.from({ length: layers }, (_, i) => {
    if (files === "small") return filesOf(`layer${i}`, each, small);
    if (files === "large") return filesOf(`layer${i}`, each, Math.min(large, each));
    return [
      ...filesOf(`layer${i}/small`, each / 4, small),
      ...filesOf(`layer${i}/large`, (each * 3) / 4, between),
    ];
  });
}

function filesOf(folder: string, total: number, size: number): LayerEntry[] {
  const count = Math.max(1, Math.round(total / size));
  const content = (): Buffer =>
    Buffer.concat([randomBytes(size / 2), Buffer.alloc(size / 2, "berth ")]);
  return [
    { path: folder },
    ...Array.from({ length: count }, (_, i) => ({ path: `${folder}/${i}`, content: content() })),
  ];
}

const machineFolders = ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share"] as const;

/** Each layer begins with a file that no other has: a layer that is there already would not be pulled. */
function machineFiles(layerBytes: number, layers: number): LayerEntry[][] {
  const made: LayerEntry[][] = [];
  let entries: LayerEntry[] = [];
  let bytes = 0;
  const folders = new Set<string>();
  for (const file of filesBelow(machineFolders)) {
    if (entries.length === 0) {
      entries.push({ path: `layer${made.length}`, content: randomBytes(1024) });
      folders.clear();
    }
    addFolders(path.dirname(file).slice(1), folders, entries);
    const content = readFileSync(file);
    entries.push({ path: file.slice(1), content, mode: 0o755 });
    bytes += content.length;
    if (bytes < layerBytes) continue;
    made.push(entries);
    if (made.length === layers) return made;
    entries = [];
    bytes = 0;
  }
  throw new Error(`this machine has less than ${layers} times ${layerBytes} bytes in its programs`);
}

function addFolders(folder: string, known: Set<string>, entries: LayerEntry[]): void {
  if (folder === "." || known.has(folder)) return;
  addFolders(path.dirname(folder), known, entries);
  known.add(folder);
  entries.push({ path: folder });
}

function* filesBelow(folders: readonly string[]): Generator<string, void, undefined> {
  for (const folder of folders) {
    const entries = readdirSync(folder, { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const at = path.join(folder, entry.name);
      if (entry.isDirectory()) yield* filesBelow([at]);
      else if (entry.isFile()) yield at;
    }
  }
}
