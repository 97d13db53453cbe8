// SPDX-License-Identifier: Apache-2.0

/**
 * Text for a terminal that others had a say in: images, tenants, programs. Control characters but line
 * ends and tabs are spelled out, so that nobody moves the cursor, hides a line or renames the window by a
 * name (as in CVE-2021-25743). In JSON the result means the same as before.
 */
export function printable(text: string): string {
  return text.replaceAll(/(?![\n\t])\p{Cc}/gu, spelled);
}

/** The same for what must stay on one line. */
export function printableLine(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, spelled);
}

function spelled(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
