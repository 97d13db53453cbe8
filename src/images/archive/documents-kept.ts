// SPDX-License-Identifier: Apache-2.0
import type { FilePlace, FilesHeard } from "./tar-members.ts";

/** Larger ones are read again when they are wanted, as are those for which there is no room. */
const largestBytes = 1024 * 1024;
const roomBytes = 16 * 1024 * 1024;
/** How JSON begins, and no layer, plain or compressed. */
const opens = new Set(Buffer.from("{[ \t\r\n"));

/** The files that look like documents, of an archive that can be read in one direction only. */
export class DocumentsKept implements FilesHeard {
  /** By where they are. */
  readonly #kept = new Map<number, Buffer>();
  #roomLeft = roomBytes;
  #current: { readonly place: FilePlace; bytes: Buffer | undefined; filled: number } | undefined;

  file(place: FilePlace): void {
    const { size } = place;
    const fits = size > 0 && size <= Math.min(largestBytes, this.#roomLeft);
    this.#current = fits ? { place, bytes: undefined, filled: 0 } : undefined;
  }

  data(chunk: Buffer): void {
    const current = this.#current;
    if (!current) return;
    if (!current.bytes) {
      if (!opens.has(chunk[0] ?? 0)) {
        this.#current = undefined;
        return;
      }
      current.bytes = Buffer.allocUnsafeSlow(current.place.size);
    }
    current.filled += chunk.copy(current.bytes, current.filled);
  }

  end(): void {
    const current = this.#current;
    this.#current = undefined;
    if (!current?.bytes || current.filled !== current.place.size) return;
    this.#kept.set(current.place.dataOffset, current.bytes);
    this.#roomLeft -= current.bytes.length;
  }

  get({ dataOffset }: FilePlace): Buffer | undefined {
    return this.#kept.get(dataOffset);
  }
}
