// SPDX-License-Identifier: Apache-2.0

/** The newest section of CHANGELOG.md, when it is dated. */
export interface ReleasedChangelog {
  /** The whole file, with the section under its version and date. */
  readonly text: string;
  /** What the section says, without its heading. */
  readonly section: string;
}

const heading = /^## (?<version>\S+) \((?<when>[^)]*)\)$/gm;
const open = "not yet released";

/** Dates the section on top, which has to be an open one with an entry; throws with the reason. */
export function dateChangelog(text: string, version: string, date: string): ReleasedChangelog {
  const [first, second] = text.matchAll(heading);
  if (first?.groups?.["when"] !== open) {
    throw new Error(`CHANGELOG.md has no section "## ${version} (${open})" on top`);
  }
  const from = first.index + first[0].length;
  const section = text.slice(from, second?.index).trim();
  if (!/^- \S/m.test(section)) {
    throw new Error(`CHANGELOG.md has no entry in "${first[0]}": say what is new`);
  }
  const dated = `## ${version} (${date})`;
  return { text: text.slice(0, first.index) + dated + text.slice(from), section };
}
