// SPDX-License-Identifier: Apache-2.0

/** A page with its part of this name as it is now; the page says where it begins and ends, and what it is made from. */
export function withPart(page: string, name: string, source: string, text: string): string {
  const start = `<!-- ${name}: made by \`npm run docs\` from ${source} -->\n`;
  const end = `<!-- /${name} -->\n`;
  const [before, rest] = page.split(start);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) {
    throw new Error(`the page has no place for "${name}": ${start.trim()}`);
  }
  return `${before}${start}\n${text}\n${end}${after}`;
}
