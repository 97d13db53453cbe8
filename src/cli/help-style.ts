// SPDX-License-Identifier: Apache-2.0
import { type Command, Help, type Option } from "commander";

const plain = new Help();

/** Formats a command's help, and points errors of the command line at the right one. */
export function styleHelp(command: Command): void {
  const rest = command.commands.length > 0 ? "the commands and flags" : "its arguments and flags";
  command.showHelpAfterError(`Run '${pathOf(command)} --help' for ${rest}.`);
  command.configureHelp({
    // Arguments and "[options]" would leave descriptions too little room, and they would not be wrapped.
    subcommandTerm: (inner) => [inner.name(), ...inner.aliases()].join("|"),
    optionDescription: (option) => plain.optionDescription(withoutEmptyDefault(option)),
  });
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

/** Leaves out defaults that say nothing: a switch that is off, a list that is empty. */
function withoutEmptyDefault(option: Option): Option {
  const { defaultValue } = option as { readonly defaultValue?: unknown };
  const isEmpty = defaultValue === false || (Array.isArray(defaultValue) && !defaultValue.length);
  if (!isEmpty) return option;
  return Object.create(option, { defaultValue: { value: undefined } }) as Option;
}
