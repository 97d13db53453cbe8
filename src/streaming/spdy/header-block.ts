// SPDX-License-Identifier: Apache-2.0
import { constants, createInflate, type Inflate } from "node:zlib";
import { headerDictionary } from "./dictionary.ts";
import { SpdyError } from "./spdy-error.ts";

/** Header names in lower case. */
export type StreamHeaders = ReadonlyMap<string, string>;

/** What one header block may inflate to: 64 KiB of zeros on the wire would be 64 MiB. */
export const largestHeaderBlock = 16 * 1024;
const largestHeaderCount = 64;

/** Inflates the header blocks of one connection, which share one compression state, one after another. */
export class HeaderInflater implements Disposable {
  readonly #inflate: Inflate;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #written = 0;
  #fail: ((error: Error) => void) | undefined;
  #broken: Error | undefined;

  constructor() {
    this.#inflate = createInflate({
      dictionary: headerDictionary,
      flush: constants.Z_SYNC_FLUSH,
      chunkSize: 4096,
    });
    this.#inflate.on("data", (piece: Buffer) => this.#take(piece));
    this.#inflate.on("error", (cause) =>
      this.#break(new SpdyError("header block does not inflate", { cause })),
    );
  }

  /** Await one call before the next. Rejects with SpdyError; the connection must be closed then. */
  read(block: Buffer): Promise<StreamHeaders> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) return reject(this.#broken);
      this.#fail = reject;
      this.#written += block.length;
      this.#inflate.write(block, () => {
        if (this.#broken !== undefined) return;
        // A compressed stream that has ended ignores what follows, without an error.
        if (this.#inflate.bytesWritten < this.#written) {
          this.#break(new SpdyError("header block has bytes behind its end"));
          return;
        }
        const whole = Buffer.concat(this.#pieces);
        this.#pieces = [];
        this.#bytes = 0;
        try {
          resolve(parseHeaders(whole));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  [Symbol.dispose](): void {
    this.#break(new SpdyError("connection is closed"));
  }

  #take(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > largestHeaderBlock) {
      this.#break(new SpdyError(`header block of more than ${largestHeaderBlock} bytes`));
      return;
    }
    this.#pieces.push(piece);
  }

  #break(error: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#pieces = [];
    this.#inflate.destroy();
    this.#fail?.(error);
  }
}

/**
 * Blocks without headers, for SYN_REPLY: stored deflate blocks need no compressor. The empty stored
 * block at the end is needed, or Go's inflater takes the input for finished for good. The zlib header
 * comes once, with the connection's first block.
 */
export const emptyHeaderBlock = {
  first: Buffer.from("7801000400fbff00000000000000ffff", "hex"),
  next: Buffer.from("000400fbff00000000000000ffff", "hex"),
} as const;

/** Throws SpdyError. A name that comes twice keeps its first value. */
export function parseHeaders(block: Buffer): StreamHeaders {
  const headers = new Map<string, string>();
  let offset = 0;
  const word = (): number => {
    if (offset + 4 > block.length) throw new SpdyError("header block ends early");
    const value = block.readUInt32BE(offset);
    offset += 4;
    return value;
  };
  const text = (): string => {
    const length = word();
    if (offset + length > block.length) throw new SpdyError("header block ends early");
    const value = block.toString("utf8", offset, offset + length);
    offset += length;
    return value;
  };
  const count = word();
  if (count > largestHeaderCount) throw new SpdyError(`header block of ${count} headers`);
  for (let index = 0; index < count; index += 1) {
    const name = text().toLowerCase();
    const value = text();
    if (!headers.has(name)) headers.set(name, value);
  }
  return headers;
}
