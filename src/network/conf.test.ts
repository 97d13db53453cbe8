// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";
import { inspect } from "node:util";
import { removeFolderSync } from "../base/remove-folder.ts";
import { parseConf } from "./conf.ts";
import { confDirFingerprint, loadConfDir } from "./conf-dir.ts";

const bridge = { type: "bridge", bridge: "br0" };
const wanted = { disableCheck: false, disableGc: false };

const good = [
  {
    name: "a list",
    file: "10-a.conflist",
    json: {
      name: "a",
      cniVersion: "1.0.0",
      plugins: [bridge, { type: "portmap", capabilities: { portMappings: true, other: false } }],
    },
    conf: {
      ...wanted,
      name: "a",
      cniVersion: "1.0.0",
      offered: ["1.0.0"],
      plugins: [
        { type: "bridge", capabilities: [], raw: bridge },
        {
          type: "portmap",
          capabilities: ["portMappings"],
          raw: { type: "portmap", capabilities: { portMappings: true, other: false } },
        },
      ],
    },
  },
  {
    name: "a list in a .conf file",
    file: "a.conf",
    json: { name: "a", cniVersion: "0.3.1", plugins: [bridge] },
    conf: {
      ...wanted,
      name: "a",
      cniVersion: "0.3.1",
      offered: ["0.3.1"],
      plugins: [{ type: "bridge", capabilities: [], raw: bridge }],
    },
  },
  {
    name: "a single plugin without a version",
    file: "a.json",
    json: { name: "a", ...bridge },
    conf: {
      ...wanted,
      name: "a",
      cniVersion: "0.1.0",
      offered: ["0.1.0"],
      plugins: [{ type: "bridge", capabilities: [], raw: { name: "a", ...bridge } }],
    },
  },
  {
    name: "several versions, of which the newest known is taken",
    file: "a.conflist",
    json: {
      name: "a",
      cniVersion: "0.4.0",
      cniVersions: ["9.0.0", "1.1.0", "0.3.1"],
      plugins: [bridge],
    },
    conf: {
      ...wanted,
      name: "a",
      cniVersion: "1.1.0",
      offered: ["0.3.1", "0.4.0", "1.1.0"],
      plugins: [{ type: "bridge", capabilities: [], raw: bridge }],
    },
  },
  {
    name: "a list that wants neither CHECK nor GC, the latter said as text",
    file: "a.conflist",
    json: {
      name: "a",
      cniVersion: "1.1.0",
      disableCheck: true,
      disableGC: "true",
      plugins: [bridge],
    },
    conf: {
      name: "a",
      cniVersion: "1.1.0",
      offered: ["1.1.0"],
      disableCheck: true,
      disableGc: true,
      plugins: [{ type: "bridge", capabilities: [], raw: bridge }],
    },
  },
];

for (const { conf, file, json, name } of good) {
  test(`parseConf reads ${name}`, () => {
    assert.deepEqual(parseConf(file, JSON.stringify(json)), conf);
  });
}

const bad = [
  { name: "text that is no JSON", text: "{", says: /"a\.conflist": not JSON/ },
  { name: "no name", text: JSON.stringify({ plugins: [bridge] }), says: /"a\.conflist": name: / },
  {
    name: "no plugins",
    text: JSON.stringify({ name: "a", plugins: [] }),
    says: /plugins: needs at least one/,
  },
  {
    name: "a plugin without type",
    text: JSON.stringify({ name: "a", plugins: [bridge, {}] }),
    says: /plugins\[1\]\.type: /,
  },
  {
    name: "a plugin that is a path",
    text: JSON.stringify({ name: "a", plugins: [{ type: "../x" }] }),
    says: /plugins\[0\]\.type: is the name of a plugin/,
  },
  {
    name: "an unknown version",
    text: JSON.stringify({ name: "a", cniVersion: "7.0.0", plugins: [bridge] }),
    says: /cniVersion 7\.0\.0 is not among 0\.1\.0/,
  },
  { name: "a list of nothing", text: "[]", says: /"a\.conflist": / },
];

for (const { name, says, text } of bad) {
  test(`parseConf refuses ${name}`, () => {
    assert.throws(() => parseConf("a.conflist", text), { code: "INVALID_ARGUMENT", message: says });
  });
}

test("parseConf quotes nothing of a text that is no JSON: it may have a password", () => {
  for (const text of ['{"password": s3cret}', '{"password": "s3cret" x}']) {
    assert.throws(
      () => parseConf("a.conflist", text),
      (error) => !inspect(error).includes("s3cret") && /not JSON/.test(String(error)),
    );
  }
});

test("loadConfDir takes good files in lexical order, up to the limit, and tells of bad ones", async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "berth cni "));
  t.after(() => removeFolderSync(folder));
  const put = (file: string, name: string, extra: object = {}): void =>
    fs.writeFileSync(
      path.join(folder, file),
      JSON.stringify({ name, cniVersion: "1.0.0", plugins: [bridge], ...extra }),
    );
  put("30-c.conflist", "c");
  put("20-b.conf", "b");
  put("10-a.conflist", "a", { plugins: [] });
  put("25-b.json", "b");
  put("00-not-one.txt", "x");
  const all = await loadConfDir(folder, 0);
  assert.deepEqual(
    all.networks.map(({ file, name }) => [path.basename(file), name]),
    [
      ["20-b.conf", "b"],
      ["30-c.conflist", "c"],
    ],
  );
  assert.deepEqual(
    all.problems.map((problem) => /(\d\d-\w+\.\w+)": (.*)$/.exec(problem)?.slice(1)),
    [
      ["10-a.conflist", "plugins: needs at least one plugin"],
      ["25-b.json", 'network "b" is defined already'],
    ],
  );
  const one = await loadConfDir(folder, 1);
  assert.deepEqual(
    one.networks.map(({ name }) => name),
    ["b"],
  );
  assert.deepEqual(await loadConfDir(path.join(folder, "missing"), 1), {
    networks: [],
    problems: [],
  });
});

test("loadConfDir appends what lies in the folder of the network's name, unless the list forbids it", async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "berth cni "));
  t.after(() => removeFolderSync(folder));
  const put = (file: string, json: object): void =>
    fs.writeFileSync(path.join(folder, file), JSON.stringify(json));
  const pluginsOf = async (): Promise<(readonly string[])[]> =>
    (await loadConfDir(folder, 0)).networks.map(({ plugins }) => plugins.map(({ type }) => type));
  put("10-a.conflist", { name: "a", cniVersion: "1.1.0", plugins: [bridge] });
  put("20-b.conflist", { name: "b", cniVersion: "1.1.0" });
  assert.deepEqual(await pluginsOf(), [["bridge"]]);
  for (const name of ["a", "b", "c"]) fs.mkdirSync(path.join(folder, name));
  put("a/20-y.conf", { type: "y" });
  put("a/10-x.conf", { type: "x" });
  put("a/30-z.conflist", { type: "z" });
  put("b/only.conf", { type: "only" });
  put("c/nobodys.conf", { type: "nobodys" });
  assert.deepEqual(await pluginsOf(), [["bridge", "x", "y"], ["only"]]);
  const before = await confDirFingerprint(folder);
  put("b/only.conf", { type: "" });
  assert.notEqual(await confDirFingerprint(folder), before);
  put("10-a.conflist", { name: "a", loadOnlyInlinedPlugins: true, plugins: [bridge] });
  assert.deepEqual(await pluginsOf(), [["bridge"]]);
  const { problems } = await loadConfDir(folder, 0);
  assert.match(problems.join("\n"), /b\/only\.conf": type: is the name of a plugin/);
});

test("confDirFingerprint changes with the files and with the folder", async (t) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "berth cni "));
  t.after(() => removeFolderSync(root));
  const folder = path.join(root, "net.d");
  const seen = [await confDirFingerprint(folder)];
  fs.mkdirSync(folder);
  seen.push(await confDirFingerprint(folder));
  fs.writeFileSync(path.join(folder, "a.conf"), "1");
  seen.push(await confDirFingerprint(folder));
  fs.writeFileSync(path.join(folder, "a.conf"), "22");
  seen.push(await confDirFingerprint(folder));
  fs.renameSync(folder, `${folder}.old`);
  fs.cpSync(`${folder}.old`, folder, { recursive: true, preserveTimestamps: true });
  seen.push(await confDirFingerprint(folder));
  assert.equal(seen[0], "");
  assert.equal(new Set(seen).size, seen.length);
  fs.writeFileSync(path.join(folder, "note.txt"), "");
  assert.equal(await confDirFingerprint(folder), seen.at(-1));
  // A link that leads nowhere hides no change of the other files.
  fs.symlinkSync(path.join(root, "nowhere"), path.join(folder, "b.conf"));
  seen.push(await confDirFingerprint(folder));
  fs.writeFileSync(path.join(folder, "a.conf"), "333");
  seen.push(await confDirFingerprint(folder));
  assert.equal(new Set(seen).size, seen.length);
});
