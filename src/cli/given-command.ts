// SPDX-License-Identifier: Apache-2.0
import type { Command, Option } from "commander";
import { formatDuration } from "../config/quantity.ts";

/**
 * The options that a command was given, before its name or after it, for somebody to type them again: those that say
 * something else than their defaults. Numbers are milliseconds.
 */
export function givenOptions(command: Command, except: readonly string[]): string[] {
  const words = new Map<string, string[]>();
  for (const one of [command.parent, command]) {
    for (const option of one?.options ?? []) {
      const name = option.attributeName();
      const value: unknown = one?.getOptionValue(name);
      const isGiven = one?.getOptionValueSource(name) === "cli" && value !== option.defaultValue;
      if (isGiven && !except.includes(name)) words.set(name, wordsOf(option, value));
    }
  }
  return [...words.values()].flat();
}

function wordsOf({ long, negate }: Option, value: unknown): string[] {
  const flag = long ?? "";
  if (typeof value === "boolean") return value === negate ? [] : [flag];
  return [flag, typeof value === "number" ? formatDuration(value) : String(value)];
}
