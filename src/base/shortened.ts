// SPDX-License-Identifier: Apache-2.0

/**
 * Cuts a text that is too long, because it quotes what others wrote: both its ends, and how much is left out between.
 */
export function shortened(text: string, longest: number): string {
  if (text.length <= longest) return text;
  const half = Math.floor(longest / 2);
  return `${text.slice(0, half)} … ${text.length - 2 * half} characters left out … ${text.slice(-half)}`;
}
