// SPDX-License-Identifier: Apache-2.0
import type { RootfsReader } from "./ports.ts";

/** Of each image a container needs its passwd and group. */
const maxFiles = 512;
const maxFileBytes = 64 * 1024;

/**
 * Remembers what small files of committed layers hold. Such layers never change and their folders' names
 * are never used again, while finding a file in them takes several turns of the thread pool a layer.
 */
export function rememberFiles(
  open: (layers: readonly string[]) => RootfsReader,
): (layers: readonly string[]) => RootfsReader {
  const known = new Map<string, { readonly bytes: Uint8Array | undefined }>();
  const keep = (key: string, bytes: Uint8Array | undefined): void => {
    if (bytes !== undefined && bytes.length > maxFileBytes) return;
    known.delete(key); // so that those used last are last
    known.set(key, { bytes });
    const [oldest] = known.keys();
    if (known.size > maxFiles && oldest !== undefined) known.delete(oldest);
  };
  return (layers) => {
    const reader = open(layers);
    return {
      ...reader,
      readFile: async (path, maxBytes) => {
        const key = [path, ...layers].join("\0");
        const found = known.get(key);
        const isFit = found !== undefined && (found.bytes?.length ?? 0) <= maxBytes;
        const bytes = isFit ? found.bytes : await reader.readFile(path, maxBytes);
        keep(key, bytes);
        return bytes;
      },
    };
  };
}
