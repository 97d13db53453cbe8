// SPDX-License-Identifier: Apache-2.0
import type { TerminalSize } from "./ports.ts";

/** Of one object, in characters; a longer one is no size. */
const longestObject = 1024;
/** After so many objects that are no sizes the rest is ignored: parsing each of them costs an exception. */
const oddLimit = 1000;

/**
 * Reads the sizes of a resize channel: flat JSON objects one after another, cut anywhere. What is no
 * size is skipped, up to a limit; after it nothing is looked at. Keeps the latest until somebody listens.
 */
export class ResizeReader {
  /** What has come since the last opening brace. */
  #pending = "";
  #odd = 0;
  #latest: TerminalSize | undefined;
  #listener: ((size: TerminalSize) => void) | undefined;

  onResize(listener: (size: TerminalSize) => void): void {
    this.#listener = listener;
    if (this.#latest !== undefined) listener(this.#latest);
  }

  push(bytes: Buffer): void {
    if (this.#odd > oddLimit) return;
    // A character for a byte, so that it does not matter where it was cut; what counts is ASCII.
    const parts = (this.#pending + bytes.toString("latin1")).split("}");
    this.#pending = fromBrace(parts.pop() ?? "");
    for (const part of parts) this.#take(fromBrace(part));
  }

  #take(object: string): void {
    if (object === "" || this.#odd > oddLimit) return;
    const size = parseSize(`${object}}`);
    if (size === undefined) {
      this.#odd += 1;
      return;
    }
    this.#latest = size;
    this.#listener?.(size);
  }
}

/** An object that has begun and not ended yet; "" for none, or for a long one. */
function fromBrace(text: string): string {
  const at = text.lastIndexOf("{");
  return at < 0 || text.length - at >= longestObject ? "" : text.slice(at);
}

function parseSize(text: string): TerminalSize | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { Width: width, Height: height } = value as Record<"Width" | "Height", unknown>;
  return isCells(width) && isCells(height) ? { width, height } : undefined;
}

function isCells(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff;
}
