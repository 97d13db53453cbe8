// SPDX-License-Identifier: Apache-2.0
import type { Command, Help } from "commander";
import { styleHelp } from "../../src/cli/help-style.ts";

/** What stands around the commands of a program in its manual page. */
export interface ManPage {
  /** 1 for commands of everybody's, 8 for those of administrators. */
  readonly section: 1 | 8;
  readonly version: string;
  /** Of the page, in seconds since 1970. */
  readonly seconds: number;
  /** Other pages, such as `berthd(8)`. */
  readonly seeAlso: readonly string[];
}

/** The manual page of a program, in man(7)'s macros, made of what `--help` says of each of its commands. */
export function manPage(program: Command, page: ManPage): string {
  const date = new Date(page.seconds * 1000).toISOString().slice(0, 10);
  const name = program.name();
  return `${[
    `.TH ${name.toUpperCase()} ${page.section} ${date} "berth ${page.version}"`,
    ".SH NAME",
    `${name} \\- ${escaped(firstClause(program.description()))}`,
    ".SH SYNOPSIS",
    `.B ${name}`,
    escaped(program.usage()),
    ".SH DESCRIPTION",
    escaped(program.description()),
    ".SH OPTIONS",
    ...optionsOf(program),
    ".SH COMMANDS",
    ...commandsBelow(program).flatMap(commandLines),
    ".SH NOTES",
    ...restOfHelp(program),
    ".SH SEE ALSO",
    page.seeAlso.map(escaped).join(", "),
  ].join("\n")}\n`;
}

function commandLines(command: Command): string[] {
  return [
    `.SS ${escaped(`${pathBelowProgram(command)} ${command.usage()}`.trim())}`,
    escaped(command.description()),
    ...argumentsOf(command),
    ...optionsOf(command),
    ...restOfHelp(command),
  ];
}

function argumentsOf(command: Command): string[] {
  return helpOf(command)
    .visibleArguments(command)
    .flatMap((argument) => [
      ".TP",
      `.I ${escaped(argument.name())}`,
      escaped(helpOf(command).argumentDescription(argument)),
    ]);
}

function optionsOf(command: Command): string[] {
  const help = helpOf(command);
  return help
    .visibleOptions(command)
    .filter((option) => option.long !== "--help" || command.parent === null)
    .flatMap((option) => [
      ".TP",
      `.B ${escaped(help.optionTerm(option))}`,
      escaped(help.optionDescription(option)),
    ]);
}

/** What `--help` prints after the lists: examples, signals. Each line stays as it is. */
function restOfHelp(command: Command): string[] {
  let text = "";
  command.configureOutput({ writeOut: (part) => void (text += part) });
  command.outputHelp();
  const rest = text.slice(command.helpInformation().length).trim();
  return rest === "" ? [] : [".PP", ".nf", escaped(rest), ".fi"];
}

/** Every command that does something, below a program, in the order of its help. */
function commandsBelow(command: Command): Command[] {
  const visible = helpOf(command)
    .visibleCommands(command)
    .filter((inner) => inner.name() !== "help");
  return visible.flatMap((inner) => (inner.commands.length > 0 ? commandsBelow(inner) : [inner]));
}

function helpOf(command: Command): Help {
  styleHelp(command);
  return command.createHelp();
}

function pathBelowProgram(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${pathBelowProgram(parent)} ${command.name()}` : command.name();
}

function firstClause(description: string): string {
  return description.replace(/^Berth's \w+: /, "").replace(/\.( .*)?$/s, "");
}

/** roff takes a dot or an apostrophe at the beginning of a line for a request, and a hyphen for a break. */
function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll(/^(?=[.'])/gm, "\\&");
}
