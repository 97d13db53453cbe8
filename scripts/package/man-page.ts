// SPDX-License-Identifier: Apache-2.0
import type { Command, Help } from "commander";
import { styleHelp } from "../../src/cli/help-style.ts";

/** Of what a page is, and when. */
export interface PageVersion {
  readonly version: string;
  /** Of the page, in seconds since 1970. */
  readonly seconds: number;
}

/** What stands around the commands of a program in its manual page. */
export interface ManPage extends PageVersion {
  /** 1 for commands of everybody's, 8 for those of administrators. */
  readonly section: 1 | 8;
  /** Names of variables, and what they do. */
  readonly environment: readonly Entry[];
  readonly files: readonly Entry[];
  /** Numbers, and what they mean. */
  readonly exitStatus: readonly Entry[];
  /** Other pages, such as `berthd(8)`. */
  readonly seeAlso: readonly string[];
}

/** What it is called, and a sentence or two about it. */
type Entry = readonly [term: string, meaning: string];

/** The manual page of a program, in man(7)'s macros, made of what `--help` says of each of its commands. */
export function manPage(program: Command, page: ManPage): string {
  const name = program.name();
  return `${[
    titleLine(name, page.section, page),
    ".SH NAME",
    `${name} \\- ${escaped(firstClause(program.description()))}`,
    ".SH SYNOPSIS",
    `.B ${name}`,
    escaped(program.usage()),
    ".SH DESCRIPTION",
    escaped(program.description()),
    ".SH OPTIONS",
    ...optionLines(optionsOf(program)),
    ".SH COMMANDS",
    ...commandsBelow(program).flatMap(commandLines),
    ".SH EXAMPLES",
    ...restOfHelp(program),
    ...section("ENVIRONMENT", page.environment),
    ...section("FILES", page.files),
    ...section("EXIT STATUS", page.exitStatus),
    ".SH SEE ALSO",
    page.seeAlso.map(escaped).join(", "),
  ].join("\n")}\n`;
}

export function titleLine(
  name: string,
  section: number,
  { version, seconds }: PageVersion,
): string {
  const date = new Date(seconds * 1000).toISOString().slice(0, 10);
  return `.TH ${name.toUpperCase()} ${section} ${date} "berth ${version}"`;
}

function section(heading: string, entries: readonly Entry[]): string[] {
  return entries.length === 0 ? [] : [`.SH ${heading}`, ...entries.flatMap(entryLines)];
}

export function entryLines([term, meaning]: Entry): string[] {
  return [".TP", `.B ${escaped(term)}`, escaped(meaning)];
}

function commandLines(command: Command): string[] {
  return [
    `.SS ${escaped(`${pathBelowProgram(command)} ${command.usage()}`.trim())}`,
    escaped(command.description()),
    ...argumentsOf(command),
    ...ownOptions(command),
    ...restOfHelp(command),
  ];
}

/** Those of the program, which OPTIONS explains, are named alone. */
function ownOptions(command: Command): string[] {
  const explained = new Set(optionsOf(programOf(command)).map(({ meaning }) => meaning));
  const options = optionsOf(command);
  const common = options.filter(({ meaning }) => explained.has(meaning));
  return [
    ...optionLines(options.filter((option) => !common.includes(option))),
    ...(common.length === 0
      ? []
      : [".PP", escaped(`As above: ${common.map(({ long }) => long).join(", ")}.`)]),
  ];
}

function programOf(command: Command): Command {
  return command.parent === null ? command : programOf(command.parent);
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

interface ShownOption {
  readonly long: string;
  readonly term: string;
  readonly meaning: string;
}

function optionsOf(command: Command): ShownOption[] {
  const help = helpOf(command);
  return help
    .visibleOptions(command)
    .filter((option) => option.long !== "--help" || command.parent === null)
    .map((option) => ({
      long: option.long ?? option.flags,
      term: help.optionTerm(option),
      meaning: help.optionDescription(option),
    }));
}

function optionLines(options: readonly ShownOption[]): string[] {
  return options.flatMap(({ term, meaning }) => entryLines([term, meaning]));
}

/**
 * What `--help` prints after the lists: examples, signals. Each line stays as it is; a program's has its heading from the
 * page.
 */
function restOfHelp(command: Command): string[] {
  let text = "";
  command.configureOutput({ writeOut: (part) => void (text += part) });
  command.outputHelp();
  const after = text.slice(command.helpInformation().length).trim();
  const rest = command.parent === null ? after.replace(/^Examples:\n/, "") : after;
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

/** As text in a page: roff takes a dot or an apostrophe at the beginning of a line for a request, and a hyphen for a break. */
export function escaped(text: string): string {
  return (
    text
      // Root's locale is often C, where groff has no such sign, and warns of it at each page.
      .replaceAll("…", "...")
      .replaceAll("\\", "\\e")
      .replaceAll("-", "\\-")
      .replaceAll(/^(?=[.'])/gm, "\\&")
  );
}
