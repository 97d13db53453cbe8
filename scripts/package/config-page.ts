// SPDX-License-Identifier: Apache-2.0
import { type DocumentedTable, documentedTables } from "../../src/config/documented-tables.ts";
import { tomlValue } from "../../src/config/render.ts";
import { entryLines, escaped, type PageVersion, titleLine } from "./man-page.ts";

/** berthd.toml(5): every key of the configuration, in man(7)'s macros. */
export function configPage(page: PageVersion): string {
  return `${[
    titleLine("berthd.toml", 5, page),
    ".SH NAME",
    "berthd.toml \\- configuration of berthd",
    ".SH DESCRIPTION",
    escaped(
      "berthd reads /etc/berthd/config.toml, then every config.d/*.toml beside it in lexical order, then its command-line flags. Later values win; tables are merged key by key. A key that is not listed here is an error, and so is a value of the wrong kind.",
    ),
    ".PP",
    escaped(
      'A duration is a string such as "500ms", "2s" or "1m30s". A size is a whole number of bytes or a string such as "16KiB" or "4MiB". Paths are absolute.',
    ),
    ".PP",
    escaped(
      "`systemctl reload berthd` makes a running daemon read the files again. Keys that need a restart are marked so; a change of them is named in the log and by `berth status`.",
    ),
    ".SH KEYS",
    ...documentedTables().flatMap(tableLines),
    ".SH FILES",
    ...entryLines(["/etc/berthd/config.toml", "The file, where no other is given with --config."]),
    ...entryLines(["/etc/berthd/config.d/*.toml", "What is put over it."]),
    ".SH SEE ALSO",
    escaped("berthd(8), berth(1)"),
  ].join("\n")}\n`;
}

function tableLines({ name, doc, fields, defaults }: DocumentedTable): string[] {
  const heading = name === "" ? "Above all tables" : `[${name}]`;
  return [`.SS ${escaped(heading)}`, escaped(doc), ...keyLines(fields, defaults)];
}

function keyLines(
  fields: DocumentedTable["fields"],
  defaults: DocumentedTable["defaults"],
): string[] {
  return fields
    .filter(({ parts }) => parts === undefined)
    .flatMap(({ key, kind, doc, change, property, write }) => {
      const standard = tomlValue(write(defaults[property]));
      const restart = change === "reload" ? "" : " Needs a restart.";
      return [
        ".TP",
        `.BR ${escaped(key)} " (${escaped(kind).replaceAll('"', "\\(dq")}; default ${escaped(standard).replaceAll('"', "\\(dq")})"`,
        escaped(`${doc}${restart}`),
      ];
    });
}
