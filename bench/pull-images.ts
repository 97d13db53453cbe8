// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import type { ImageRecipe, LayerCompression, LayerEntry } from "../test/support/oci-image.ts";

export type FileSizes = "small" | "large" | "mixed";

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

/** Half of each file compresses away. */
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
