// SPDX-License-Identifier: Apache-2.0
import type { Argument, Command, Option } from "commander";

/**
 * Asks the daemon for the words that complete an argument, of one kind. Tasks and containers are containerd's, by id;
 * `podContainer` and `pod` are those of `berth exec` and the like, by everything that names them; `podId` is for
 * commands that take ids only.
 */
export type WordSource = (
  kind:
    | "task"
    | "container"
    | "podContainer"
    | "pod"
    | "podId"
    | "namespace"
    | "image"
    | "nriPlugin",
) => Promise<readonly string[]>;

/**
 * What could stand in the place of the last of `words`, the words after `berth`: commands, flags, a
 * flag's choices, or names that `source` knows. Empty when it may be anything.
 */
export async function completions(
  program: Command,
  words: readonly string[],
  source: WordSource,
): Promise<string[]> {
  const typed = words.at(-1) ?? "";
  let command = program;
  let position = 0;
  let flagOfValue: string | undefined;
  for (const word of words.slice(0, -1)) {
    const isSeveral = flagOfValue !== undefined && takesSeveral(command, flagOfValue);
    if (isSeveral && !word.startsWith("-")) continue;
    if (flagOfValue !== undefined && !isSeveral) flagOfValue = undefined;
    else if (word.startsWith("-")) flagOfValue = takesValue(command, word) ? word : undefined;
    else if (command !== program || position > 0 || word !== "help") {
      const inner = position === 0 ? innerOf(command, word) : undefined;
      if (inner) command = inner;
      else position += 1;
    }
  }
  const found = await candidates(command, { typed, position, flagOfValue }, source);
  return found.filter((word) => word.startsWith(typed)).toSorted();
}

interface Place {
  readonly typed: string;
  /** How many arguments of the command come before. */
  readonly position: number;
  /** The flag whose value is completed. */
  readonly flagOfValue: string | undefined;
}

async function candidates(
  command: Command,
  place: Place,
  source: WordSource,
): Promise<readonly string[]> {
  const { typed, position, flagOfValue } = place;
  if (flagOfValue !== undefined && !(typed.startsWith("-") && takesSeveral(command, flagOfValue))) {
    const isNamespace = flagOfValue === "-n" || flagOfValue === "--namespace";
    if (isNamespace) return source("namespace");
    if (command.name() === "ps" && ["-p", "--pod"].includes(flagOfValue)) return source("podId");
    const before = takesSeveral(command, flagOfValue) ? typed.replace(/[^,]*$/, "") : "";
    const option = command.options.find((one) => isNamed(one, flagOfValue));
    return (option?.argChoices ?? []).map((choice) => `${before}${choice}`);
  }
  if (typed.startsWith("-")) return flagsOf(command);
  if (command.commands.length > 0) return position === 0 ? commandsOf(command) : [];
  if (command.name() === "cp") return (await source("podContainer")).map((name) => `${name}:`);
  const last = command.registeredArguments.at(-1);
  const argument = command.registeredArguments[position] ?? (last?.variadic ? last : undefined);
  return argument ? argumentWords(command, argument, source) : [];
}

async function argumentWords(
  command: Command,
  argument: Argument,
  source: WordSource,
): Promise<readonly string[]> {
  if (argument.argChoices) return argument.argChoices;
  const name = argument.name();
  const group = command.parent?.name();
  if (name === "container") return source("podContainer");
  if (name === "pod") return source("pod");
  if (group === "pod" && name === "id") return source("podId");
  if (name === "image" || (group === "image" && name === "reference")) return source("image");
  if (group === "namespace" && name === "name") return source("namespace");
  if (group === "nri" && name === "plugin") return source("nriPlugin");
  const makes = ["create", "run"].includes(command.name());
  if (name !== "id" || makes) return [];
  return group === "task" || group === "container" ? source(group) : [];
}

function innerOf(command: Command, word: string): Command | undefined {
  return command.commands.find((one) => one.name() === word || one.aliases().includes(word));
}

function takesValue(command: Command, word: string): boolean {
  if (word.includes("=")) return false;
  return command.options.some(
    (option) => isNamed(option, word) && (option.required || option.optional),
  );
}

function takesSeveral(command: Command, word: string): boolean {
  return command.options.some((option) => option.variadic && isNamed(option, word));
}

function isNamed({ short, long }: Option, word: string): boolean {
  return word === short || word === long;
}

function flagsOf(command: Command): string[] {
  return [...command.options.flatMap(({ long }) => (long ? [long] : [])), "--help"];
}

function commandsOf(command: Command): string[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((one) => one.name());
}

/** What a shell reads to complete `berth`: each asks `berth complete` for the words. */
export const completionScripts: Readonly<Record<"bash" | "zsh" | "fish", string>> = {
  bash: `# berth completion for bash: put it into /etc/bash_completion.d/berth,
# or run: source <(berth completion bash)
_berth() {
  # From the line itself: COMP_WORDS is cut at the colons of image names.
  local line=\${COMP_LINE:0:COMP_POINT} typed words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  typed=\${words[-1]}
  mapfile -t COMPREPLY < <(berth complete -- "\${words[@]:1}" 2>/dev/null)
  [[ \${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
  if [[ $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("\${COMPREPLY[@]#"\${typed%"\${typed##*:}"}"}")
  fi
}
complete -o default -F _berth berth
`,
  zsh: `#compdef berth
# berth completion for zsh: put it into a folder of $fpath as _berth,
# or run: source <(berth completion zsh)
_berth() {
  local -a found
  found=("\${(@f)$(berth complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( \${#found[1]} )); then compadd -a found; else _files; fi
}
if [ "$funcstack[1]" = "_berth" ]; then _berth "$@"; else compdef _berth berth; fi
`,
  fish: `# berth completion for fish: put it into ~/.config/fish/completions/berth.fish,
# or run: berth completion fish | source
function __berth_words
  set -l typed (commandline -ct)
  set -l found (berth complete -- (commandline -opc)[2..] $typed 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path $typed
  end
end
complete -c berth -f -a '(__berth_words)'
`,
};
