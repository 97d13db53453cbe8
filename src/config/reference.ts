// SPDX-License-Identifier: Apache-2.0
import { type DocumentedTable, documentedTables } from "./documented-tables.ts";
import { tomlValue } from "./render.ts";

/** The text of docs/configuration.md. */
export function renderReference(): string {
  const out = [
    "# Configuration reference",
    "",
    "<!-- Made by `npm run docs` from src/config/keys. Do not edit. -->",
    "",
    "`berthd` reads `/etc/berthd/config.toml` (or the file given with `--config`), then every",
    "`config.d/*.toml` beside it in lexical order, then its command-line flags. Later values win; tables",
    "are merged key by key. Without a file the defaults below hold. A key that is not listed here is an",
    "error, and so is a value of the wrong kind: `berthd config check` tells without starting anything,",
    "`berthd config dump` prints the whole effective configuration, `berthd config default` the defaults",
    "with these explanations.",
    "",
    "`systemctl reload berthd`, or SIGHUP, makes a running daemon read the files again. Keys with *yes* in the",
    "column *reloads* hold from then on, for what begins afterwards; a change of the others is named in the log and",
    "by `berth status`, and waits for a restart. When anything is wrong with the files, or cannot be put into",
    "effect, nothing changes at all, and the log says why. Command-line flags keep winning.",
    "",
    'A duration is a string such as `"500ms"`, `"2s"` or `"1m30s"`. A size is a whole number of bytes or a',
    'string such as `"16KiB"` or `"4MiB"`. Paths are absolute.',
  ];
  for (const { name, doc, fields, defaults } of documentedTables()) {
    const heading = name === "" ? "Keys above all tables" : `[${name}]`;
    out.push("", `## ${heading}`, "", doc, "", ...fieldTable(fields, defaults));
  }
  return `${out.join("\n")}\n`;
}

function fieldTable(
  fields: DocumentedTable["fields"],
  defaults: DocumentedTable["defaults"],
): string[] {
  const rows = fields.map((field) => {
    const value = tomlValue(field.write(defaults[field.property]));
    const fallback = field.parts === undefined ? `\`${value}\`` : "below";
    const reloads = field.change === "reload" ? "yes" : "no";
    return `| \`${field.key}\` | ${field.kind} | ${fallback} | ${reloads} | ${field.doc.replaceAll("|", "\\|")} |`;
  });
  return ["| key | value | default | reloads | meaning |", "|---|---|---|---|---|", ...rows];
}
