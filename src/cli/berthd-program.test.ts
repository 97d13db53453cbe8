// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { parse } from "smol-toml";
import { makeFifo } from "../base/os/fifo.ts";
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
  {
    name: "a folder without a name",
    args: ["config", "import", "x", "--certs-dir", ""],
    says: /expected a folder/,
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
  assert.deepEqual(await berthd("config", "check", file), { code, out, err });
  assert.equal((await berthd("config", "check", file, "--config", file)).code, 2);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(
    err,
    /^berthd: bad value of "log\.level" in .*bad\.toml: .*\nberthd: unknown key "zebra" in /,
  );
});

test("berthd config check names every fault in one pass, of keys and of what they say together", async () => {
  const file = path.join(folder, "both.toml");
  const tls = '[streaming]\nmax_sessions = "many"\ntls_cert_file = "/c"\n';
  writeFileSync(
    file,
    `[log]\nlevel = "loud"\n[metrics]\naddress = "127.0.0.1:99999"\n${tls}[grpc]\nalso = ["/run/a.sock", "/run/a.sock"]\n`,
  );
  const { code, err } = await berthd("config", "check", file, "--root", folder);
  assert.equal(code, 1);
  assert.match(err, /bad value of "log\.level"/);
  assert.match(err, /bad value of "streaming\.max_sessions"/);
  assert.match(err, /"metrics\.address" is "127\.0\.0\.1:99999", expected host:port/);
  assert.match(err, /"grpc\.also" has \/run\/a\.sock twice/);
  assert.doesNotMatch(err, /tls_key_file/, "of a table with faults nothing else is known");
});

test("berthd config check names each file that the configuration names and that is not there", async () => {
  const file = path.join(folder, "names.toml");
  const runc = 'shim = "/nonexist"\nbinary_name = "/nonexist/runc"\nbase_runtime_spec = "/"\n';
  const others =
    '[cri]\nblockio_config_file = "/nonexist/b"\n[kubernetes]\nkubeconfig = "/nonexist/k"\n';
  writeFileSync(file, `[runtime.handlers.runc]\n${runc}${others}`);
  const { code, out, err } = await berthd("config", "check", file, "--root", folder);
  assert.equal(code, 0, err);
  assert.match(out, /^configuration is valid/);
  const lines = err.trimEnd().split("\n");
  assert.equal(
    lines[0],
    `warning: "runtime.handlers.runc.shim" is /nonexist, which is not there: pods of handler runc cannot be started (in ${file})`,
  );
  assert.match(lines[1] ?? "", /"runtime\.handlers\.runc\.binary_name" is \/nonexist\/runc, which/);
  assert.match(
    lines[2] ?? "",
    /"runtime\.handlers\.runc\.base_runtime_spec" is \/, which is a folder/,
  );
  assert.match(lines[3] ?? "", /"cri\.blockio_config_file" is \/nonexist\/b, which is not there/);
  assert.match(lines[4] ?? "", /"kubernetes\.kubeconfig" is \/nonexist\/k, which is not there/);
  assert.equal(lines.length, 5);
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
oom_score = -500
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
  assert.equal(code, 0);
  assert.match(err, /^skipped .*hosts\.toml: it is there already$/m);
});

test("berthd config import writes what can be written, and prints the configuration in any case", async () => {
  const old = path.join(folder, "names.toml");
  const mirrors = `plugins."io.containerd.grpc.v1.cri".registry.mirrors`;
  writeFileSync(
    old,
    `${oldContainerd}[${mirrors}."../evil"]\nendpoint = ["https://m"]\n[${mirrors}."10.0.0.0/8"]\nendpoint = ["https://m"]\n`,
  );
  const certs = path.join(folder, "names.d");
  const { code, out, err } = await berthd("config", "import", old, "--certs-dir", certs);
  assert.deepEqual([code, readdirSync(certs)], [0, ["reg.example:5000"]]);
  assert.match(out, /\[log\]/);
  assert.match(err, /"\.\.\/evil" is no registry's host[^]*"10\.0\.0\.0\/8" is no registry's host/);
  const blocked = path.join(folder, "blocked");
  writeFileSync(blocked, "");
  for (const [place, errno] of [
    [blocked, "EEXIST"],
    ["/proc/berth-none", "ENOENT"],
  ] as const) {
    const failed = await berthd("config", "import", old, "--certs-dir", place);
    assert.equal(failed.code, 1);
    assert.match(failed.out, /\[log\]/);
    assert.match(failed.err, new RegExp(`cannot write ${place}/.*hosts\\.toml: ${errno}\n$`));
  }
});

test("berthd config import takes a login in a mirror's address as a login", async () => {
  const old = path.join(folder, "user.toml");
  const mirror = `plugins."io.containerd.grpc.v1.cri".registry.mirrors."reg.example"`;
  writeFileSync(
    old,
    `version = 2\n[${mirror}]\nendpoint = ["https://user:hunter%32@mirror.example/v2/x", "https://u:hunter2/@bad:x"]\n`,
  );
  const shown = await berthd("config", "import", old);
  assert.equal(shown.code, 0);
  assert.ok(!`${shown.out}${shown.err}`.includes("hunter"), shown.err);
  assert.match(shown.err, /host\."https:\/\/mirror\.example\/v2\/x"/);
  const certs = path.join(folder, "user.d");
  assert.equal((await berthd("config", "import", old, "--certs-dir", certs)).code, 0);
  const file = path.join(certs, "reg.example/hosts.toml");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const login = Buffer.from("user:hunter2").toString("base64");
  const text = readFileSync(file, "utf8");
  assert.ok(text.includes(`authorization = "Basic ${login}"`) && !text.includes("hunter"), text);
});

test("berthd config import reads plain files of a bounded length alone", async () => {
  const big = path.join(folder, "big.toml");
  writeFileSync(big, "");
  truncateSync(big, 4 * 1024 * 1024 + 1);
  const fifo = path.join(folder, "fifo");
  makeFifo(fifo, 0o600);
  for (const [file, says] of [
    [big, /has more than 4194304 bytes\n$/],
    [fifo, /is no regular file\n$/],
    ["/dev/zero", /is no regular file\n$/],
    ["/proc/self/pagemap", /has more than 4194304 bytes\n$|E[A-Z]+\n$/],
  ] as const) {
    const { code, err } = await berthd("config", "import", file);
    assert.equal(code, 1);
    assert.match(err, says);
  }
});
