// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";

// The file in which a fuzzing process says what it is at, so that it can be told when it hangs or dies. It lies
// in memory (/dev/shm): a write takes a microsecond or two.

type Doing = "own work" | "input";
const doings: readonly Doing[] = ["own work", "input"];
const headBytes = 16;

export interface Current {
  readonly doing: Doing;
  /** Inputs begun so far: another number means another input. */
  readonly begun: number;
  readonly input: Buffer;
}

export class CurrentInput implements Disposable {
  readonly #fd: number;
  #buffer = Buffer.alloc(64 * 1024);
  #begun = 0;

  constructor(file: string) {
    this.#fd = openSync(file, "w", 0o600);
    this.end();
  }

  get begun(): number {
    return this.#begun;
  }

  begin(input: Buffer): void {
    this.#begun += 1;
    const length = headBytes + input.length;
    if (length > this.#buffer.length) this.#buffer = Buffer.alloc(2 * length);
    this.#head("input", input.length);
    input.copy(this.#buffer, headBytes);
    writeSync(this.#fd, this.#buffer, 0, length, 0);
  }

  /** What comes next is the process's own work. */
  end(): void {
    this.#head("own work", 0);
    writeSync(this.#fd, this.#buffer, 0, 4, 0);
  }

  #head(doing: Doing, length: number): void {
    this.#buffer.writeUInt32LE(doings.indexOf(doing), 0);
    this.#buffer.writeUInt32LE(length, 4);
    this.#buffer.writeDoubleLE(this.#begun, 8);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** What the file says; undefined before it is there. */
export function readCurrent(file: string): Current | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return undefined;
  }
  if (bytes.length < headBytes) return undefined;
  const end = headBytes + bytes.readUInt32LE(4);
  return {
    doing: doings[bytes.readUInt32LE(0)] ?? "own work",
    begun: bytes.readDoubleLE(8),
    input: bytes.subarray(headBytes, end),
  };
}
