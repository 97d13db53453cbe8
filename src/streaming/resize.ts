// SPDX-License-Identifier: Apache-2.0
import type { TerminalSize } from "./ports.ts";

/** Text that is no complete object yet; a client that exceeds it is not sending sizes. */
const pendingLimit = 1024;

/**
 * Reads the sizes of a resize channel: flat JSON objects one after another, cut anywhere. What is no
 * size is skipped. Keeps the latest until somebody listens.
 */
export class ResizeReader {
  #pending = "";
  #latest: TerminalSize | undefined;
  #listener: ((size: TerminalSize) => void) | undefined;

  onResize(listener: (size: TerminalSize) => void): void {
    this.#listener = listener;
    if (this.#latest !== undefined) listener(this.#latest);
  }

  push(bytes: Buffer): void {
    this.#pending += bytes.toString("utf8");
    const parts = this.#pending.split("}");
    this.#pending = (parts.pop() ?? "").slice(-pendingLimit);
    for (const part of parts) {
      const size = parseSize(`${part.slice(part.lastIndexOf("{"))}}`);
      if (size === undefined) continue;
      this.#latest = size;
      this.#listener?.(size);
    }
  }
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
