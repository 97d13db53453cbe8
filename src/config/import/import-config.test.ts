// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { parse } from "smol-toml";
import { installerConfigs, v2 } from "../../../test/support/installer-configs.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { loadConfig } from "../load.ts";
import { importConfig } from "./import-config.ts";

const home = mkdtempSync(path.join(tmpdir(), "berth import "));
after(() => removeFolderSync(home));
let count = 0;

/** Writes files into a folder of their own; answers the first one's path. */
function files(texts: Readonly<Record<string, string>>): string {
  const folder = path.join(home, String((count += 1)));
  for (const [name, text] of Object.entries(texts)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  return path.join(folder, Object.keys(texts)[0] ?? "");
}

for (const { by, texts, becomes, lost } of installerConfigs) {
  test(`a configuration of ${by} becomes ours`, () => {
    const imported = importConfig(files(texts));
    assert.deepEqual(JSON.parse(JSON.stringify(parse(imported.text))), becomes);
    assert.deepEqual(imported.lost.map(({ written }) => written).toSorted(), [...lost].toSorted());
    for (const { reason } of imported.lost) assert.notEqual(reason, "");
    assert.ok(loadConfig({ file: files({ "config.toml": imported.text }) }));
  });
}

test("an import that is missing is named, with who names it", () => {
  const file = files({ "config.toml": 'version = 2\nimports = ["gone.toml"]\n' });
  assert.throws(() => importConfig(file), {
    code: "NOT_FOUND",
    message: `cannot read ${path.join(path.dirname(file), "gone.toml")}, which ${file} imports: ENOENT`,
  });
});

test("imports that go round end, and the later file wins", () => {
  const file = files({
    "config.toml": 'version = 2\nimports = ["a.toml"]\n[debug]\nlevel = "info"\n',
    "a.toml": 'version = 3\nimports = ["config.toml", "b.toml"]\n[debug]\nlevel = "warn"\n',
    "b.toml": 'version = 2\n[debug]\nlevel = "debug"\n',
  });
  const { text, files: read } = importConfig(file);
  assert.equal(text, '[log]\nlevel = "debug"\n');
  assert.equal(read.length, 3);
});

test("what cannot be read is refused with its file and place", () => {
  const version = files({ "config.toml": "version = 9\n" });
  assert.throws(
    () => importConfig(version),
    /config\.toml: its version is 9, and 1 to 4 are known/,
  );
  const template = files({ "config.toml.tmpl": 'version = 2\n{{ if .X }}\na = "b"\n{{ end }}\n' });
  assert.throws(() => importConfig(template), /:2: not valid TOML: .*it is a template/);
});

test("a value that berthd does not take is told, and the rest is taken", () => {
  const file = files({
    "config.toml": 'version = 2\n[debug]\nlevel = "loud"\n[metrics]\naddress = "127.0.0.1:1"\n',
  });
  const { text, lost } = importConfig(file);
  assert.equal(text, '[metrics]\naddress = "127.0.0.1:1"\n');
  assert.match(lost[0]?.reason ?? "", /does not take this value: bad value of "log\.level"/);
});

const images = "plugins.'io.containerd.cri.v1.images'";
const transfer = "plugins.'io.containerd.transfer.v1.local'";
for (const [name, text, becomes] of [
  ["the transfer service, which pulls", `[${transfer}]\nmax_concurrent_downloads = 10\n`, 10],
  [
    "the transfer service beside the CRI plugin's default",
    `[${images}]\nmax_concurrent_downloads = 3\n[${transfer}]\nmax_concurrent_downloads = 10\n`,
    10,
  ],
  [
    "the CRI plugin, which pulls itself then",
    `[${images}]\nmax_concurrent_downloads = 8\n[${transfer}]\nmax_concurrent_downloads = 10\n`,
    8,
  ],
  [
    "a CRI plugin that pulls itself, by its default",
    `[${images}]\nuse_local_image_pull = true\n[${transfer}]\nmax_concurrent_downloads = 10\n`,
    undefined,
  ],
  ["no limit", `[${transfer}]\nmax_concurrent_downloads = 0\n`, 64],
  ["more than berthd's most", `[${images}]\nmax_concurrent_downloads = 100\n`, 64],
  ["what both have by default", `[${transfer}]\nmax_concurrent_downloads = 3\n`, undefined],
] as const) {
  test(`the downloads at once are those of ${name}`, () => {
    const imported = importConfig(files({ "config.toml": `version = 3\n${text}` }));
    const made = parse(imported.text) as { images?: { max_concurrent_downloads?: number } };
    assert.equal(made.images?.max_concurrent_downloads, becomes);
    assert.deepEqual(imported.lost, []);
  });
}

test("the hosts of the transfer service are the registries', where the CRI plugin has none", () => {
  const text = `version = 3\n[${transfer}]\nconfig_path = "/etc/containerd/certs.d"\n`;
  const own = `${text}[${images}.registry]\nconfig_path = "/etc/own.d"\n`;
  for (const [toml, place] of [
    [text, "/etc/containerd/certs.d"],
    [own, "/etc/own.d"],
  ] as const) {
    const imported = importConfig(files({ "config.toml": toml }));
    assert.equal(imported.text, `[registry]\nconfig_path = "${place}"\n`);
  }
});

for (const [level, ours] of [
  ["warning", "warn"],
  ["panic", "fatal"],
  ["Error", "error"],
]) {
  test(`CRI-O's and containerd's level ${level} is our ${ours}`, () => {
    const crio = files({ "crio.conf": `[crio.runtime]\nlog_level = "${level}"\n` });
    assert.match(importConfig(crio).text, new RegExp(`level = "${ours}"`));
    const containerd = files({ "config.toml": `version = 2\n[debug]\nlevel = "${level}"\n` });
    assert.equal(importConfig(containerd).text, `[log]\nlevel = "${ours}"\n`);
  });
}

test("a file that is neither containerd's nor CRI-O's is refused", () => {
  const own = files({ "config.toml": 'root = "/r"\n[cni]\nconf_dir = "/etc/cni/net.d"\n' });
  assert.throws(() => importConfig(own), {
    code: "INVALID_ARGUMENT",
    message: `${own} looks like a configuration of berthd's own, which needs no import: berthd config check ${own}`,
  });
  const cargo = files({ "Cargo.toml": '[package]\nname = "x"\n[dependencies]\n' });
  assert.throws(() => importConfig(cargo), {
    code: "INVALID_ARGUMENT",
    message: `${cargo} is neither a configuration of containerd's nor of CRI-O's: it has package, dependencies and nothing of theirs`,
  });
  const named = files({ "crio.conf": '[package]\nname = "x"\n' });
  assert.throws(() => importConfig(named), /is neither a configuration of containerd's nor/);
  assert.equal(importConfig(files({ "config.toml": "" })).text, "");
});

test("a name of a table that every object has is a handler's", () => {
  const file = files({
    "config.toml": `version = 2\n[${v2}.containerd.runtimes.__proto__]\nruntime_type = "io.containerd.runc.v2"\n`,
  });
  assert.doesNotThrow(() => importConfig(file));
  assert.equal(({} as Record<string, unknown>)["type"], undefined);
});

const oldRegistries = `version = 2
[${v2}.registry.mirrors."docker.io"]
  endpoint = ["https://mirror.example:5000", "https://registry-1.docker.io"]
[${v2}.registry.mirrors."*"]
  endpoint = ["http://cache.example/v2/all"]
[${v2}.registry.configs."mirror.example:5000".tls]
  ca_file = "/etc/ssl/mirror.crt"
[${v2}.registry.configs."mirror.example:5000".auth]
  username = "puller"
  password = "planted-secret"
[${v2}.registry.configs."own.example".tls]
  insecure_skip_verify = true
`;

test("mirrors and logins of old files become hosts.toml", () => {
  const { hosts, lost, text } = importConfig(files({ "config.toml": oldRegistries }));
  assert.equal(text, "");
  assert.deepEqual(lost, []);
  const parsed = Object.fromEntries(
    hosts.map(({ registry, text: toml }) => [registry, parse(toml)]),
  );
  assert.deepEqual(JSON.parse(JSON.stringify(parsed)), {
    "docker.io": {
      server: "https://registry-1.docker.io",
      host: {
        "https://mirror.example:5000": {
          capabilities: ["pull", "resolve"],
          ca: "/etc/ssl/mirror.crt",
          header: {
            authorization: `Basic ${Buffer.from("puller:planted-secret").toString("base64")}`,
          },
        },
        "https://registry-1.docker.io": { capabilities: ["pull", "resolve"] },
      },
    },
    _default: {
      host: {
        "http://cache.example/v2/all": { capabilities: ["pull", "resolve"], override_path: true },
      },
    },
    "own.example": { server: "https://own.example", skip_verify: true },
  });
});
