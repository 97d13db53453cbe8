// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";

/** Longer ones, written out, are refused. */
const maxSourceLength = 16 * 1024;

let isEnabled = false;

/**
 * Compiles a regular expression whose matching takes time in proportion to the text, as RE2's in containerd: an
 * exponential one would hold the main thread on a text that a tenant chose. V8 has such an engine. It takes neither
 * look-around nor back-references, nor does RE2; nor repetitions with numbers, which are written out where they
 * repeat a single character or class. Throws SyntaxError.
 */
export function linearPattern(source: string): RegExp {
  if (!isEnabled) v8.setFlagsFromString("--enable-experimental-regexp-engine");
  isEnabled = true;
  // oxlint-disable-next-line no-invalid-regexp -- V8's own flag, for that engine
  return new RegExp(withoutNumbers(source), "l");
}

function withoutNumbers(source: string): string {
  let written = "";
  // One atom and what may repeat it: a class, an escape, or any single character.
  const piece = /(\[\^?(?:\\.|[^\]\\])*\]|\\.|[^])(\{\d+(?:,\d*)?\}\??)?/gu;
  for (const [whole, atom = "", numbers] of source.matchAll(piece)) {
    if (numbers === undefined) written += whole;
    else if (atom === ")") throw new SyntaxError("a group cannot be repeated by number");
    else written += repeated(atom, numbers);
    if (written.length > maxSourceLength) throw new SyntaxError("it is too long");
  }
  return written;
}

function repeated(atom: string, numbers: string): string {
  const [, least = "0", comma, most] = /^\{(\d+)(,?)(\d*)\}/.exec(numbers) ?? [];
  const few = Number(least);
  const many = comma === "" ? few : most === "" ? Number.POSITIVE_INFINITY : Number(most);
  if (few > many) throw new SyntaxError("numbers out of order in {} quantifier");
  const optional = many === Number.POSITIVE_INFINITY ? 0 : many - few;
  if ((few + optional) * (atom.length + 1) > maxSourceLength)
    throw new SyntaxError("it is too long");
  return (
    atom.repeat(few) +
    (many === Number.POSITIVE_INFINITY ? `${atom}*` : `${atom}?`.repeat(optional))
  );
}
