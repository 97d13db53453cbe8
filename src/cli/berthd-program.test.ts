// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { parse } from "smol-toml";
import { removeFolderSync } from "../base/remove-folder.ts";
import { buildBerthd } from "./berthd-program.ts";
import { runProgram } from "./run-program.ts";

const folder = mkdtempSync(path.join(tmpdir(), "berthd cli "));
after(() => removeFolderSync(folder));

async function berthd(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const io = {
    out: (text: string) => void (out += text),
    error: (text: string) => void (err += text),
    env: {},
  };
  const code = await runProgram(buildBerthd(io), args, io);
  return { code, out, err };
}

const wrongUse: readonly { name: string; args: string[]; says: RegExp }[] = [
  {
    name: "an unknown command",
    args: ["serv"],
    says: /^berthd: unknown command 'serv'\n\(Did you mean serve\?\)/,
  },
  {
    name: "an unknown flag",
    args: ["serve", "--rot", "x"],
    says: /^berthd: unknown option '--rot'/,
  },
  {
    name: "a bad level",
    args: ["config", "check", "-l", "loud"],
    says: /Allowed choices are trace/,
  },
  { name: "a flag without its value", args: ["serve", "--config"], says: /argument missing/ },
];
for (const { name, args, says } of wrongUse) {
  test(`berthd exits 2 on ${name}`, async () => {
    const { code, err } = await berthd(...args);
    assert.equal(code, 2);
    assert.match(err, says);
  });
}

test("berthd exits 0 on help and version", async () => {
  assert.equal((await berthd("--help")).code, 0);
  const { code, out } = await berthd("--version");
  assert.equal(code, 0);
  assert.match(out, /^berthd \d+\.\d+\.\d+/);
});

test("berthd config check exits 1 and names every fault with its file", async () => {
  const file = path.join(folder, "bad.toml");
  writeFileSync(file, 'zebra = 1\n[log]\nlevel = "loud"\n');
  const { code, out, err } = await berthd("config", "check", "--config", file);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(
    err,
    /^berthd: bad value of "log\.level" in .*bad\.toml: .*\nberthd: unknown key "zebra" in /,
  );
});

test("berthd config check exits 1 over a database that a newer version wrote", async () => {
  const root = mkdtempSync(path.join(folder, "root-"));
  using database = new DatabaseSync(path.join(root, "meta.db"));
  database.exec("PRAGMA user_version = 1000; CREATE TABLE later (name TEXT)");
  const { code, err } = await berthd("config", "check", "--root", root);
  assert.equal(code, 1);
  assert.match(
    err,
    /^berthd: cannot open ".*meta\.db": it has schema version 1000, and berthd .* knows/,
  );
});

test("berthd config dump shows flags over the file", async () => {
  const file = path.join(folder, "good.toml");
  writeFileSync(file, 'root = "/r"\nstate = "/s"\n');
  const { code, out } = await berthd(
    "config",
    "dump",
    "--config",
    file,
    "--root",
    "/flag",
    "-a",
    "unix:///a.sock",
  );
  assert.equal(code, 0);
  const document = parse(out) as { root: string; state: string; grpc: { address: string } };
  assert.deepEqual(
    [document.root, document.state, document.grpc.address],
    ["/flag", "/s", "/a.sock"],
  );
});

test("berthd config default prints a commented file that is valid", async () => {
  const { out } = await berthd("config", "default");
  assert.match(out, /^# Folder of what must survive a reboot/);
  const file = path.join(folder, "default.toml");
  writeFileSync(file, out);
  assert.equal((await berthd("config", "check", "--config", file)).code, 0);
});

const oldContainerd = `version = 2
oom_score = -999
[debug]
level = "warn"
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."reg.example:5000"]
endpoint = ["https://mirror.example"]
[plugins."io.containerd.grpc.v1.cri".registry.configs."mirror.example".auth]
username = "puller"
password = "planted-secret"
`;

test("berthd config import prints ours, what is lost, and no login", async () => {
  const old = path.join(folder, "containerd.toml");
  writeFileSync(old, oldContainerd);
  const { code, out, err } = await berthd("config", "import", old);
  assert.equal(code, 0);
  assert.match(out, /\n\[log\]\nlevel = "warn"\n$/);
  assert.match(err, /oom_score: set OOMScoreAdjust= in berthd\.service/);
  assert.match(err, /reg\.example:5000\/hosts\.toml/);
  const login = Buffer.from("puller:planted-secret").toString("base64");
  assert.ok(!`${out}${err}`.includes(login) && !`${out}${err}`.includes("planted-secret"));
  const ours = path.join(folder, "imported.toml");
  writeFileSync(ours, out);
  assert.equal((await berthd("config", "check", "--config", ours)).code, 0);
});

test("berthd config import --certs-dir writes logins for root alone, and over nothing", async () => {
  const old = path.join(folder, "containerd.toml");
  writeFileSync(old, oldContainerd);
  const certs = path.join(folder, "certs.d");
  assert.equal((await berthd("config", "import", old, "--certs-dir", certs)).code, 0);
  const file = path.join(certs, "reg.example:5000/hosts.toml");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, "utf8"), /authorization = "Basic /);
  const { code, err } = await berthd("config", "import", old, "--certs-dir", certs);
  assert.equal(code, 1);
  assert.match(err, /hosts\.toml is there already/);
});
