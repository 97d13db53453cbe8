// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from "node:fs/promises";

/**
 * So many bytes of a file, fewer where it was cut meanwhile. A stream of the handle's own would stay with it, and be told
 * of its end, until the handle is closed.
 */
export async function* fileBytes(
  file: FileHandle,
  { start, sizeBytes, pieceBytes }: FilePart,
): AsyncGenerator<Buffer, void, undefined> {
  for (let done = 0; done < sizeBytes; ) {
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, sizeBytes - done));
    const { bytesRead } = await file.read(piece, 0, piece.length, start + done);
    if (bytesRead === 0) return;
    yield piece.subarray(0, bytesRead);
    done += bytesRead;
  }
}

export interface FilePart {
  readonly start: number;
  readonly sizeBytes: number;
  /** How many bytes are read at once. */
  readonly pieceBytes: number;
}
