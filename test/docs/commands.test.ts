// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Command } from "commander";
import { buildBerth } from "../../src/cli/berth-program.ts";
import { buildBerthd } from "../../src/cli/berthd-program.ts";
import { pages, root, sources } from "./pages.ts";

const io = { out: () => {}, error: () => {}, env: {} };
const programs: Readonly<Record<string, Command>> = {
  berth: buildBerth(io),
  berthd: buildBerthd(io),
};
const code = sources("src/**/*.ts", "bin/*", "deploy/**/*.*");
const scripts = Object.keys(
  (JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { scripts: object })
    .scripts,
);

/** Command lines of a page: its shell blocks' lines, and its spans. */
function lines({ spans, blocks }: (typeof pages)[number]): string[] {
  const shell = blocks
    .filter(({ language }) => language === "sh" || language === "")
    .flatMap(({ text }) => text.split("\n"))
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim());
  // A table's cell escapes the bar.
  return [...spans, ...shell]
    .map((line) => line.replaceAll("\\|", "|"))
    .filter((line) => line !== "");
}

/** Why a program would not take these words; undefined when it would. */
function refusal(program: Command, words: readonly string[]): string | undefined {
  let command = program;
  const options = [...command.options];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!;
    if (word.startsWith("-") && word !== "-") {
      const [flag = ""] = word.split("=");
      if (flag === "--help" || flag === "-h") continue;
      const option = options.find(({ long, short }) => flag === long || flag === short);
      const isCluster = /^-[a-z]{2,}$/.test(flag);
      if (option === undefined && !isCluster) return `${command.name()} has no ${flag}`;
      if (option !== undefined && option.required && !word.includes("=")) at += 1;
      continue;
    }
    const next = command.commands.find(
      (each) => each.name() === word || each.aliases().includes(word),
    );
    if (next === undefined) {
      const isGroup = command.commands.length > 0 && command.registeredArguments.length === 0;
      return isGroup ? `${command.name()} has no command ${word}` : undefined;
    }
    command = next;
    options.push(...command.options);
  }
  return undefined;
}

test("a command line that is wrong is found", () => {
  const berth = programs["berth"]!;
  assert.equal(refusal(berth, ["pod", "list-all"]), "pod has no command list-all");
  assert.equal(refusal(berth, ["statuses"]), "berth has no command statuses");
  assert.equal(refusal(berth, ["status", "--jsn"]), "status has no --jsn");
  assert.equal(refusal(programs["berthd"]!, ["config", "verify"]), "config has no command verify");
});

/** What `--help` prints, of the program and of each of its commands. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return [text, ...command.commands.map(helpOf)].join("\n");
}

test("the examples in the help are commands that there are", () => {
  const examples = Object.values(programs)
    .map(helpOf)
    .flatMap((text) => [...text.matchAll(/^ {2}(berthd?) (?!\[options\])(.+)$/gm)]);
  assert.ok(examples.length > 20, `${examples.length} examples`);
  const wrong = examples.flatMap(([line, name = "", rest = ""]) => {
    const words = rest.split(/ [|>] /, 1)[0]!.split(/\s+/);
    const why = refusal(programs[name]!, words);
    return why === undefined ? [] : [`${line}: ${why}`];
  });
  assert.deepEqual(wrong, []);
});

test("the commands that the program itself recommends are there", () => {
  const quoted = [...code.matchAll(/`(berthd?) ([a-z][^`$\n]*)\\?`/g)];
  assert.ok(quoted.length > 10);
  const wrong = quoted.flatMap(([span, name = "", rest = ""]) => {
    const why = refusal(programs[name]!, rest.replace(/\\$/, "").split(/\s+/));
    return why === undefined ? [] : [`${span}: ${why}`];
  });
  assert.deepEqual(wrong, []);
});

for (const page of pages) {
  test(`the commands of ${page.name} are there`, () => {
    const wrong: string[] = [];
    for (const line of lines(page)) {
      const words = line.split(/\s+/);
      // `berth status && …`, `VARIABLE=value berth …`, `bin/berth …`, `/opt/berth/bin/berth …`
      while (/^[A-Z_]+=/.test(words[0] ?? "")) words.shift();
      // What it says, and not what one types.
      if (line.startsWith("berthd is ")) continue;
      const end = words.findIndex((word) => /^(&&|\|\||\||>|<|;)/.test(word));
      const [first = "", ...rest] = end < 0 ? words : words.slice(0, end);
      const name = path.basename(first);
      const program = /^(\/\S+\/|bin\/)?berthd?$/.test(first) ? programs[name] : undefined;
      const why = program === undefined ? undefined : refusal(program, rest);
      if (why !== undefined) wrong.push(`${line}: ${why}`);
      const script = /^npm run (?:--silent )?([\w:-]+)/.exec(line)?.[1];
      if (script !== undefined && !scripts.includes(script)) wrong.push(`${line}: no such script`);
      const ofProject = [
        ...line.matchAll(
          /(?:^|\s|\/opt\/berth\/)((?:scripts|bench|test|src|proto|deploy|docs|\.ci|bin)\/[\w./-]*[\w/])/g,
        ),
      ];
      for (const [, file = ""] of ofProject) {
        if (!existsSync(path.join(root, file))) wrong.push(`${line}: no ${file}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  test(`the links of ${page.name} lead somewhere`, () => {
    const dead: string[] = [];
    for (const [, target = ""] of page.text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const at = file === "" ? page.name : path.join(path.dirname(page.name), file);
      if (!existsSync(path.join(root, at))) dead.push(target);
      else if (
        anchor !== undefined &&
        !anchors(readFileSync(path.join(root, at), "utf8")).has(anchor)
      )
        dead.push(target);
    }
    assert.deepEqual(dead, []);
  });
}

/** As GitHub makes them of headings. */
function anchors(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}
