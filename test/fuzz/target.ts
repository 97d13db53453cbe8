// SPDX-License-Identifier: Apache-2.0
import { type FaultCode, isFault } from "../../src/base/errors.ts";

/** A parser of foreign bytes, and what must hold whatever it is given. A file of `targets/` has one. */
export interface FuzzTarget {
  /** As in `npm run fuzz -- NAME`, and the folder of its corpus, `test/fuzz/corpus/NAME/`. */
  readonly name: string;
  /** The source files that it is about, from the project's root: for people. */
  readonly parses: readonly string[];
  /** Whole, valid inputs beyond the corpus's files, made by code. */
  seeds?(): Iterable<Buffer> | AsyncIterable<Buffer>;
  /** Byte strings ("latin1") that mean something to the parser. */
  readonly dictionary?: readonly string[];
  /** The longest input worth trying, in bytes; 4096 when left out. */
  readonly maxBytes?: number;
  /**
   * Parses one input, and throws where something does not hold. Faults that the parser may answer with are
   * caught in here, by `refused`.
   */
  run(input: Buffer): void | Promise<void>;
}

/** Of a message to a client. What a parser tells of its input in it must be cut before that. */
const maxMessageChars = 4096;

/**
 * Lets pass what a parser may refuse bad input with: a RuntimeFault of one of `codes`, whose message is a
 * few words. Throws anything else, which is what the fuzzer looks for.
 */
export function refused(error: unknown, ...codes: readonly [FaultCode, ...FaultCode[]]): void {
  if (!isFault(error, ...codes)) throw error;
  if (error.message.length === 0) throw new Error("a refusal without a word", { cause: error });
  if (error.message.length <= maxMessageChars) return;
  throw new Error(`a refusal of ${error.message.length} characters`, { cause: error });
}
