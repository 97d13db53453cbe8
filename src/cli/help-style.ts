// SPDX-License-Identifier: Apache-2.0
import { type Command, Help, type Option } from "commander";

const plain = new Help();

/** How a command's help looks, and which help an error of its command line points at. */
export function styleHelp(command: Command): void {
  const rest = command.commands.length > 0 ? "the commands and flags" : "its arguments and flags";
  command.showHelpAfterError(`Run '${pathOf(command)} --help' for ${rest}.`);
  command.configureHelp({
    // Arguments and "[options]" would take the room of the descriptions, which then are not wrapped.
    subcommandTerm: (inner) => [inner.name(), ...inner.aliases()].join("|"),
    optionDescription: (option) => plain.optionDescription(withoutEmptyDefault(option)),
  });
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

/** That a switch is off, and a list empty, unless it is given, need not be said. */
function withoutEmptyDefault(option: Option): Option {
  const { defaultValue } = option as { readonly defaultValue?: unknown };
  const isEmpty = defaultValue === false || (Array.isArray(defaultValue) && !defaultValue.length);
  if (!isEmpty) return option;
  return Object.create(option, { defaultValue: { value: undefined } }) as Option;
}
