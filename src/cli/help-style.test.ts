// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { buildBerth } from "./berth-program.ts";
import { buildBerthd } from "./berthd-program.ts";
import { runProgram } from "./run-program.ts";

const programs = { berth: buildBerth, berthd: buildBerthd };

async function run(name: keyof typeof programs, ...args: string[]): Promise<string> {
  let said = "";
  const keep = (text: string): void => void (said += text);
  const io = { out: keep, error: keep, env: {} };
  await runProgram(programs[name](io), args, io);
  return said;
}

function pathsOf(command: Command): string[][] {
  const inner = command.createHelp().visibleCommands(command);
  return [
    [],
    ...inner
      .filter((one) => one.name() !== "help")
      .flatMap((one) => pathsOf(one).map((rest) => [one.name(), ...rest])),
  ];
}

for (const name of ["berth", "berthd"] as const) {
  const io = { out: () => {}, error: () => {}, env: {} };
  for (const path of pathsOf(programs[name](io))) {
    test(`the help of "${[name, ...path].join(" ")}" fits 80 columns and names no empty default`, async () => {
      const help = await run(name, ...path, "--help");
      assert.match(help, new RegExp(`^Usage: ${[name, ...path].join(" ")}`));
      const made = help.split(/^(?:Examples|Signals|Flags go)/m)[0] ?? ""; // what follows is ours, laid by hand
      assert.deepEqual(
        made.split("\n").filter((line) => line.length > 80),
        [],
      );
      assert.doesNotMatch(made, /default: (?:false|\[\])/);
    });
  }
}

const mistakes = [
  { args: ["task", "start"], wants: "Run 'berth task start --help' for its arguments and flags." },
  { args: ["pod", "bogus"], wants: "Run 'berth pod --help' for the commands and flags." },
  { args: ["--bogus"], wants: "Run 'berth --help' for the commands and flags." },
];
for (const { args, wants } of mistakes) {
  test(`"berth ${args.join(" ")}" points at the help that answers it`, async () => {
    assert.equal((await run("berth", ...args)).trim().split("\n").at(-1), wants);
  });
}
