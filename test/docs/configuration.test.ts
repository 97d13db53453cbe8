// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import { sections } from "../../src/config/sections.ts";
import { scratch } from "../support/scratch.ts";
import { pages, root } from "./pages.ts";

/** Keys by section; those of tables with free names under `section.TABLE`. */
const keys = new Map<string, Set<string>>();
for (const { key, fields, tables } of sections) {
  keys.set(key, new Set(fields.map((field) => field.key)));
  for (const { key: inner, parts } of fields) {
    if (parts !== undefined) keys.set(`${key}.${inner}`, new Set(parts.map((part) => part.key)));
  }
  if (tables !== undefined) {
    keys.set(
      [key, tables.key].filter(Boolean).join("."),
      new Set(tables.fields.map((it) => it.key)),
    );
  }
}
/** Those that are no more may be named by themselves: the changelog tells of them. */
const retired = sections.flatMap((section) => section.retired.map(({ name }) => name));
const everyKey = new Set([...[...keys.values()].flatMap((names) => [...names]), ...retired]);

/** Fields of CRI's messages, and of NRI's. */
const messageFields = new Set(
  ["cri-v1.txt", "nri-v1.txt"].flatMap((file) =>
    Array.from(
      readFileSync(path.join(root, "test/facts", file), "utf8").matchAll(/^ {2}\d+ (\w+) /gm),
      ([, name]) => name,
    ),
  ),
);
/** Words with an underscore that are somebody else's: containerd's, CNI's, the kernel's, Rust's. */
const others =
  /^(cgroup_parent|oom_score_adj|net_cls|apparmor_parser|skip_verify|dial_timeout|override_path|berth_\w+)$/;

const isKnown = (word: string): boolean =>
  everyKey.has(word) || messageFields.has(word) || others.test(word);

for (const { name, spans, blocks } of pages) {
  test(`the keys that ${name} names are there`, () => {
    const unknown: string[] = [];
    for (const span of spans) {
      const [, section = "", key = ""] = /^\[([\w.]+)\] (\w+)/.exec(span) ?? [];
      if (key !== "" && !keys.get(section)?.has(key)) unknown.push(span);
      const [, table] = /^\[([\w.]+)\]$/.exec(span) ?? [];
      if (table !== undefined && !isTable(table)) unknown.push(span);
      const [, alone = ""] = /^([a-z]+(?:_[a-z0-9]+)+)(?: = .*)?$/.exec(span) ?? [];
      if (alone !== "" && !isKnown(alone)) unknown.push(span);
    }
    assert.deepEqual(unknown, []);
  });

  const settings = blocks.filter(({ language }) => language === "toml");
  if (settings.length > 0) {
    test(`the settings in ${name} hold`, async () => {
      await using place = await scratch();
      for (const [index, { text }] of settings.entries()) {
        const file = path.join(place.path, `${index}.toml`);
        writeFileSync(file, text);
        assert.deepEqual(loadConfig({ file }).warnings, []);
      }
    });
  }

  test(`the YAML in ${name} is some`, () => {
    for (const { text } of blocks.filter(({ language }) => language === "yaml")) {
      for (const document of parseAllDocuments(text)) assert.deepEqual(document.errors, []);
    }
  });
}

function isTable(name: string): boolean {
  if (keys.has(name)) return true;
  const parent = name.slice(0, name.lastIndexOf("."));
  return sections.some(
    ({ key, tables }) => tables !== undefined && `${key}.${tables.key}` === parent,
  );
}

test("the commented tables of deploy/config.toml hold too", async () => {
  await using place = await scratch();
  const text = readFileSync(path.join(root, "deploy/config.toml"), "utf8");
  const file = path.join(place.path, "config.toml");
  // A line that is TOML behind its comment sign.
  writeFileSync(file, text.replaceAll(/^# (\[.*\]|\w+ = .*)$/gm, "$1"));
  const { config } = loadConfig({ file });
  assert.deepEqual(Object.keys(config.runtime.handlers).toSorted(), ["crun", "gvisor", "runc"]);
});
