// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { choice, duration, pathOrNone } from "../kinds.ts";

export const plugins = table({
  doc: "JavaScript modules of the operator that see, adjust and veto pods and containers: docs/plugins.md.",
  keys: {
    /** Folder of operator plugins; it may be missing. "" for none. */
    dir: key({
      name: "dir",
      kind: pathOrNone,
      default: "/etc/berthd/plugins.d",
      change: "restart",
      doc: 'Folder whose `*.js`, `*.mjs` and `*.ts` files are loaded at start, in lexical order; "" loads none. It may be missing. Folder and files must belong to the daemon\'s user and be writable by nobody else.',
    }),
  },
  named: {
    name: "config",
    noun: "plugin",
    doc: "One table for each plugin that needs one, named as its file without the ending. Further keys, of any kind, are handed to the plugin as its settings. A table without its file is a plugin that failed to load.",
    change: "restart",
    rest: "settings",
    present: [],
    keys: {
      /** For each call of a hook. */
      timeoutMs: key({
        name: "timeout",
        kind: duration,
        default: 2000,
        change: "restart",
        doc: "How long one call of a hook may take. A plugin that takes longer is ended and started anew.",
      }),
      /** When the plugin throws, is late or answers nonsense: refuse the pod, or go on without it. */
      onFailure: key({
        name: "on_failure",
        kind: choice("refuse", "ignore"),
        default: "refuse",
        change: "restart",
        doc: "When it cannot be loaded, throws, takes too long or answers a spec that is none: refuse the pod or container, or ignore the plugin and go on.",
      }),
    },
  },
});
