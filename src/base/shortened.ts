// SPDX-License-Identifier: Apache-2.0

/** Both ends of a text that is too long, as one that quotes what others wrote may be, and how much is left out. */
export function shortened(text: string, longest: number): string {
  if (text.length <= longest) return text;
  const half = Math.floor(longest / 2);
  return `${text.slice(0, half)} … ${text.length - 2 * half} characters left out … ${text.slice(-half)}`;
}
