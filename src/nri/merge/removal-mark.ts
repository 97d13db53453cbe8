// SPDX-License-Identifier: Apache-2.0

/** Whether a key stands for its removal: it has "-" before it. */
export function isRemoval(key: string): boolean {
  return key.startsWith("-");
}

/** A key without what marks it for removal. */
export function bare(key: string): string {
  return isRemoval(key) ? key.slice(1) : key;
}
