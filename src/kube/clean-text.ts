// SPDX-License-Identifier: Apache-2.0
import { shortened } from "../base/shortened.ts";

/**
 * One line of what others had a say in (tenants, images, plugins, servers): no control characters, no marks that turn the
 * direction of text around, no halves of characters, and so many characters at most.
 */
export function cleanText(text: string, longest: number): string {
  // Cut first: the work is bounded whatever comes in.
  const short = shortened(text, longest - cutNoteLength);
  return short
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
}

/** What `shortened` puts in the middle. */
const cutNoteLength = 48;
