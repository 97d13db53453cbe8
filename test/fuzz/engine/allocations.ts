// SPDX-License-Identifier: Apache-2.0

/** What one input may make the code ask for in buffers, all of them together. */
const maxBytesOfInput = 256 * 1024 * 1024;

let asked = 0;

/**
 * Counts the bytes that are asked for in buffers: no heap's limit knows of them, and no page of one that is not
 * written to is in the process's memory, yet a parser that takes a length for true asks for that many.
 */
export function countAllocations(): void {
  for (const name of ["alloc", "allocUnsafe", "allocUnsafeSlow"] as const) {
    const plain = Buffer[name].bind(Buffer) as (size: number, ...rest: unknown[]) => Buffer;
    Object.defineProperty(Buffer, name, {
      configurable: true,
      writable: true,
      value: (size: number, ...rest: unknown[]) => {
        count(size);
        return plain(size, ...rest);
      },
    });
  }
}

function count(size: number): void {
  if (typeof size === "number" && size > 0) asked += size;
  if (asked <= maxBytesOfInput) return;
  const told = asked;
  asked = 0;
  throw new Error(`one input made the parser ask for ${told} bytes in buffers`);
}

export function beginAllocations(): void {
  asked = 0;
}
