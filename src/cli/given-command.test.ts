// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { givenOptions } from "./given-command.ts";

test("options are told that say something else than their defaults, wherever they stand", async () => {
  let found: string[] = [];
  const program = new Command("p").option("-a, --address <path>").enablePositionalOptions();
  program
    .command("move")
    .option("-a, --address <path>")
    .option("--force", "", false)
    .option("--no-drain")
    .option("--node <name>")
    .option("--limit <ms>", "", Number, 900_000)
    .option("--other <ms>", "", Number, 1000)
    .action((_flags, command: Command) => {
      found = givenOptions(command, ["node"]);
    });
  const words = "-a /s move --node n --force --no-drain --limit 1500 --other 1000".split(" ");
  await program.parseAsync(words, { from: "user" });
  assert.deepEqual(found, ["--address", "/s", "--force", "--no-drain", "--limit", "1s500ms"]);
  await program.parseAsync(["move", "--node", "n"], { from: "user" });
});
