// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { shortened } from "../base/shortened.ts";

/** A plugin's place in the order of calls, and its name. */
export interface PluginName {
  /** Two digits. */
  readonly index: string;
  readonly name: string;
}

/** Both are quoted in logs, errors, records and metrics. NRI itself has no limit; a file's name has this one. */
const longestName = 255;
const indexPattern = /^[0-9]{2}$/;
const namePattern = /^[A-Za-z0-9_.+-]+$/;

/** How a plugin is called everywhere: `10-name`. */
export function pluginId({ index, name }: PluginName): string {
  return `${index}-${name}`;
}

/** INVALID_ARGUMENT where NRI's rule is broken. */
export function checkPluginName({ index, name }: PluginName): void {
  if (!indexPattern.test(index)) {
    throw fault(
      "INVALID_ARGUMENT",
      `index ${quoted(index)} of plugin ${quoted(name)} is not two digits`,
    );
  }
  if (name.length > longestName || !namePattern.test(name)) {
    throw fault(
      "INVALID_ARGUMENT",
      `plugin name ${quoted(name)} is invalid: it must be letters, digits and "_.+-"`,
    );
  }
}

/** The name in a file's: `10-name`. INVALID_ARGUMENT where NRI's rule is broken. */
export function pluginNameOfFile(file: string): PluginName {
  const dash = file.indexOf("-");
  if (dash < 0) {
    throw fault("INVALID_ARGUMENT", `plugin ${quoted(file)} is not named INDEX-NAME`);
  }
  const name = { index: file.slice(0, dash), name: file.slice(dash + 1) };
  checkPluginName(name);
  return name;
}

function quoted(text: string): string {
  return JSON.stringify(shortened(text, 80));
}
