// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { choice } from "../kinds.ts";

export const log = table({
  doc: "The daemon's own log, on standard error.",
  keys: {
    level: key({
      name: "level",
      kind: choice("trace", "debug", "info", "warn", "error", "fatal"),
      default: "info",
      change: "reload",
      doc: "Least severe level that is written.",
    }),
    /** "auto": pretty on a terminal, JSON elsewhere. */
    format: key({
      name: "format",
      kind: choice("auto", "json", "pretty"),
      default: "auto",
      change: "restart",
      doc: '"auto" writes readable lines on a terminal and JSON elsewhere.',
    }),
  },
});
