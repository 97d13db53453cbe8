// SPDX-License-Identifier: Apache-2.0

/**
 * Gives back the memory of bytes that nobody will read again; the array is empty afterwards. V8 counts such memory with
 * its heap and marks the whole heap for every ten MiB or so of it that wait for their collection, which costs more than
 * the work on the bytes. A view of a part is left alone: others may have the rest.
 */
export function freeBytes({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && !buffer.detached) {
    buffer.transfer(0);
  }
}
