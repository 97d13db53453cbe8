// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { inspect } from "node:util";
import { isFault } from "../base/errors.ts";
import { makeFifo } from "../base/os/fifo.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { defaultConfig } from "./defaults.ts";
import { loadConfig } from "./load.ts";
import { renderConfig } from "./render.ts";

const folder = mkdtempSync(path.join(tmpdir(), "berth config "));
after(() => removeFolderSync(folder));
let count = 0;

/** A folder with the files given; answers the path of config.toml in it. */
function write(files: Record<string, string>): string {
  count += 1;
  const home = path.join(folder, String(count));
  mkdirSync(path.join(home, "config.d"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(home, name), text);
  return path.join(home, "config.toml");
}

test("loadConfig gives the defaults for an empty file", () => {
  assert.deepEqual(loadConfig({ file: write({ "config.toml": "" }) }).config, defaultConfig);
});

test("loadConfig lets drop-ins win over the file, in lexical order, and flags over both", () => {
  const file = write({
    "config.toml": '[log]\nlevel = "warn"\nformat = "json"\n[cni]\nbin_dirs = ["/a", "/b"]',
    "config.d/20.toml": '[log]\nlevel = "debug"\n[cni]\nbin_dirs = ["/c/"]',
    "config.d/10.toml": '[log]\nlevel = "error"\n[cni]\nmax_conf_num = 3',
    "config.d/ignored.txt": "not toml",
  });
  const { config, sources } = loadConfig({ file, overrides: { log: { format: "pretty" } } });
  assert.deepEqual(config.log, { level: "debug", format: "pretty" });
  assert.deepEqual(config.cni.binDirs, ["/c"]);
  assert.equal(config.cni.maxConfNum, 3);
  assert.deepEqual(
    sources.map((source) => path.basename(source)),
    ["config.toml", "10.toml", "20.toml"],
  );
});

test("loadConfig takes several folders of hosts.toml files", () => {
  const file = write({ "config.toml": '[registry]\nconfig_path = "/etc//certs.d/:/b"' });
  assert.equal(loadConfig({ file }).config.registry.configPath, "/etc/certs.d:/b");
  const list = write({ "config.toml": '[registry]\nconfig_path = ["/etc//certs.d/", "/b"]' });
  assert.equal(loadConfig({ file: list }).config.registry.configPath, "/etc/certs.d:/b");
});

test("loadConfig fills a handler's missing keys and keeps the built-in one", () => {
  const file = write({
    "config.toml":
      '[runtime]\ndefault_handler = "crun"\n[runtime.handlers.crun]\nbinary_name = "/usr/bin/crun"\noptions = { NoPivotRoot = true }',
  });
  const { handlers } = loadConfig({ file }).config.runtime;
  assert.deepEqual(Object.keys(handlers), ["runc", "crun"]);
  assert.deepEqual(handlers["crun"], {
    ...defaultConfig.runtime.handlers["runc"],
    binaryName: "/usr/bin/crun",
    options: { NoPivotRoot: true },
  });
});

test("loadConfig hands a plugin the keys that are its own", () => {
  const file = write({
    "config.toml":
      '[plugins.config.limits]\ntimeout = "50ms"\nnamespaces = ["prod", "stage"]\n[plugins.config.limits.deep]\nmax = 3\n[plugins.config.env]\non_failure = "ignore"',
    "config.d/10.toml": "[plugins.config.limits]\nextra = true",
  });
  const { plugins } = loadConfig({ file }).config;
  assert.equal(plugins.dir, "/etc/berthd/plugins.d");
  assert.deepEqual(plugins.config, {
    limits: {
      timeoutMs: 50,
      onFailure: "refuse",
      settings: { namespaces: ["prod", "stage"], deep: { max: 3 }, extra: true },
    },
    env: { timeoutMs: 2000, onFailure: "ignore", settings: {} },
  });
});

test("loadConfig fills up what a table of fixed keys leaves out", () => {
  const file = write({
    "config.toml":
      "[nri]\nrequest_timeout = '1s'\n[nri.default_validator]\nenable = true\n[nri.plugins.10-a]\non_failure = 'refuse'",
    "config.d/10.toml": "[nri.default_validator]\nreject_sysctl_adjustment = true",
  });
  const { nri } = loadConfig({ file }).config;
  const { defaultValidator: none, ...standard } = defaultConfig.nri;
  assert.deepEqual(nri, {
    ...standard,
    requestTimeoutMs: 1000,
    defaultValidator: { ...none, enable: true, rejectSysctlAdjustment: true },
    plugins: { "10-a": { onFailure: "refuse", requestTimeoutMs: 0 } },
  });
});

test("loadConfig derives the socket from state and the CNI cache from root, unless they are set", () => {
  const derived = loadConfig({ overrides: { state: "/x/s", root: "/x/r" } }).config;
  assert.equal(derived.grpc.address, "/x/s/berthd.sock");
  assert.equal(derived.cni.cacheDir, "/x/r/cni");
  const set = loadConfig({ overrides: { state: "/x/s", grpc: { address: "/y.sock" } } }).config;
  assert.equal(set.grpc.address, "/y.sock");
});

test("loadConfig freezes all of it", () => {
  const { config } = loadConfig({ file: write({ "config.toml": "" }) });
  assert.ok(Object.isFrozen(config.runtime.handlers["runc"]?.options));
  assert.ok(Object.isFrozen(config.cni.binDirs));
});

test("renderConfig writes what loads back to the same configuration", () => {
  const file = write({
    "config.toml":
      '[cni]\nmax_conf_num = 5\n[images]\npull_progress_timeout = "1m30s"\n[cri]\nexec_sync_output_limit = 1000\n[runtime.handlers."gpu.v2"]\npod_annotations = ["a/*", "b\\"c"]\noptions = { IoUid = 5, Root = "/x y" }\n[runtime.handlers.gvisor]\ntype = "io.containerd.runsc.v1"\noptions = { a = [1, { b = 1.5 }], "c d" = { e = true } }\n[plugins.config.a]\nlist = [1, "b"]\ndeep = { x = 1.5 }\n[nri.default_validator]\nenable = true\n[nri.plugins.a]\nrequest_timeout = "1s"',
  });
  const { config } = loadConfig({ file });
  for (const comments of [true, false]) {
    const again = write({ "config.toml": renderConfig(config, { comments }) });
    assert.deepEqual(loadConfig({ file: again }).config, config);
  }
});

const wrong: readonly { name: string; text: string; message: RegExp }[] = [
  {
    name: "a misspelt key",
    text: "[grpc]\nadress = '/x'",
    message: /^unknown key "grpc\.adress" in .*config\.toml \(did you mean "address"\?\)$/,
  },
  {
    name: "a key in the wrong table",
    text: "[cri]\nshim_load = '2s'",
    message: /unknown key "cri\.shim_load" .*did you mean "timeouts\.shim_load"/,
  },
  {
    name: "a key of a handler at the top",
    text: "[runtime]\nsystemd_cgroup = true",
    message: /unknown key "runtime\.systemd_cgroup" .*"runtime\.handlers\.NAME\.systemd_cgroup"/,
  },
  {
    name: "a misspelt key of a table of fixed keys",
    text: "[nri.default_validator]\nenabled = true",
    message: /unknown key "nri\.default_validator\.enabled" .*did you mean "enable"/,
  },
  {
    name: "a wrong value in one",
    text: "[nri.default_validator]\nrequired_plugins = 'a'",
    message: /"nri\.default_validator\.required_plugins" in .*: expected an array of strings/,
  },
  {
    name: "a value for one",
    text: "[nri]\ndefault_validator = 1",
    message: /"nri\.default_validator" in .*: expected a table/,
  },
  {
    name: "a plugin that none can be called",
    text: "[nri]\nrequired = ['a b']",
    message: /"nri\.required" names "a b", expected a plugin such as pinning or 10-pinning/,
  },
  {
    name: "a socket that is another's",
    text: "[grpc]\naddress = '/x.sock'\n[nri]\nsocket_path = '/x.sock.ttrpc'",
    message: /"nri\.socket_path" is \/x\.sock\.ttrpc, which is a socket of \[grpc\]/,
  },
  {
    name: "a request that is always late",
    text: "[nri]\nrequest_timeout = '0s'",
    message: /"nri\.request_timeout" is 0s, expected more/,
  },
  {
    name: "a misspelt table",
    text: "[timeout]\ncni = '2s'",
    message: /unknown key "timeout" .*did you mean "timeouts"/,
  },
  {
    name: "an unknown key like nothing else",
    text: "zebra = 1",
    message: /^unknown key "zebra" in [^(]*$/,
  },
  {
    name: "a misspelt handler key",
    text: "[runtime.handlers.runc]\nbinary = 'x'",
    message: /unknown key "runtime\.handlers\.runc\.binary"/,
  },
  {
    name: "a bad duration",
    text: "[timeouts]\ncni = '2 s'",
    message: /bad value of "timeouts\.cni" in .*: expected a duration such as .*, got "2 s"/,
  },
  {
    name: "a duration that rounds to nothing",
    text: "[images]\npull_progress_timeout = '0.1ms'",
    message: /bad value of "images\.pull_progress_timeout" .*: expected a duration/,
  },
  ...[
    ["timeouts", "cni"],
    ["timeouts", "shim_load"],
    ["timeouts", "task_state"],
    ["plugins.config.x", "timeout"],
  ].map(([table, key]) => ({
    name: `no time at all for ${table}.${key}`,
    text: `[${table}]\n${key} = '0s'`,
    message: new RegExp(`"${table}\\.${key}" is 0s, expected more`),
  })),
  {
    name: "no bytes at all of a request",
    text: "[grpc]\nmax_recv_message_size = 0",
    message: /"grpc\.max_recv_message_size" is 0, expected more/,
  },
  {
    name: "a duration without a unit",
    text: "[timeouts]\ncni = 5",
    message: /expected a duration .*, got 5/,
  },
  {
    name: "a bad size",
    text: "[grpc]\nmax_recv_message_size = '16MB'",
    message: /expected a size .*, got "16MB"/,
  },
  {
    name: "a relative path",
    text: "root = 'var/lib'",
    message: /bad value of "root" .*: expected an absolute path, got "var\/lib"/,
  },
  ...["/a:b", "/a:", ":/a", "/a::/b", "certs.d"].map((value) => ({
    name: `a search path of "${value}"`,
    text: `[registry]\nconfig_path = '${value}'`,
    message: /bad value of "registry\.config_path" .*: expected absolute paths with ":" .*, got "/,
  })),
  {
    name: "a bad level",
    text: "[log]\nlevel = 'loud'",
    message: /"log\.level" .*expected one of "trace", .*, got "loud"/,
  },
  {
    name: "a value that a key which is no more never took",
    text: "[images]\nsnapshotter = 'zfs'",
    message: /bad value of "images\.snapshotter" .*: expected one of "overlayfs", got "zfs"/,
  },
  {
    name: "a string for a flag",
    text: "[cri]\nenable_unprivileged_icmp = 'yes'",
    message: /expected true or false, got "yes"/,
  },
  {
    name: "a number out of range",
    text: "oom_score = -2000",
    message: /expected a whole number from -1000 to 1000, got -2000/,
  },
  {
    name: "a table that is a string",
    text: "grpc = 'x'",
    message: /bad value of "grpc" .*: expected a table/,
  },
  {
    name: "more output of an exec than a kubelet takes",
    text: "[cri]\nexec_sync_output_limit = '17MiB'",
    message: /"cri\.exec_sync_output_limit" is 17825792 bytes: an answer has at most 16777216,/,
  },
  {
    name: "more output of an exec than is sent",
    text: "[grpc]\nmax_send_message_size = '1MiB'",
    message: /"cri\.exec_sync_output_limit" is 16777216 bytes: an answer has at most 1048576,/,
  },
  {
    name: "an unknown default handler",
    text: "[runtime]\ndefault_handler = 'kata'",
    message: /"runtime\.default_handler" is "kata", which is not among the handlers: runc/,
  },
  {
    name: "an unknown runc option",
    text: "[runtime.handlers.runc.options]\nNoPivot = true",
    message: /unknown runtime option "runtime\.handlers\.runc\.options\.NoPivot"/,
  },
  {
    name: "a runc option that is no plain value",
    text: "[runtime.handlers.runc.options]\nRoot = ['/x']",
    message: /"runtime\.handlers\.runc\.options\.Root": expected a string, .*got \["\/x"\]/,
  },
  {
    name: "an option that is a date",
    text: "[runtime.handlers.kata]\ntype = 'io.containerd.kata.v2'\noptions = { a = { b = 2026-01-01 } }",
    message: /"runtime\.handlers\.kata\.options\.a.*expected strings, numbers/,
  },
  {
    name: "a relative path of a shim's settings",
    text: "[runtime.handlers.kata]\ntype = 'io.containerd.kata.v2'\noptions = { ConfigPath = 'kata.toml' }",
    message: /"runtime\.handlers\.kata\.options\.ConfigPath": expected an absolute path/,
  },
  {
    name: "a number for a shim's type of options",
    text: "[runtime.handlers.kata]\ntype = 'io.containerd.kata.v2'\noptions = { TypeUrl = 5 }",
    message: /"runtime\.handlers\.kata\.options\.TypeUrl": expected a string/,
  },
  {
    name: "a name of an AppArmor profile with spaces",
    text: "[cri]\napparmor_profile = 'a b'",
    message: /"cri\.apparmor_profile" is "a b", expected a profile's name/,
  },
  {
    name: "a metrics address without a port",
    text: "[metrics]\naddress = '127.0.0.1'",
    message: /expected host:port/,
  },
  {
    name: "a socket path that is too long",
    text: `[grpc]\naddress = '/${"x".repeat(120)}'`,
    message: /is 121 bytes long, and a socket path .* at most 99/,
  },
  {
    name: "one folder for both states",
    text: "root = '/x'\nstate = '/x/'",
    message: /"root" and "state" are both \/x/,
  },
  {
    name: "text that is no TOML",
    text: "a = 1\nb = = 2",
    message: /config\.toml:2:\d+: not valid TOML: /,
  },
  {
    name: "tables that lie deeper in each other than anybody reads them",
    text: `[plugins.config.p${".a".repeat(100_000)}]\nb = 1`,
    message:
      /config\.toml: "plugins\.config\.p\.a…": tables and lists lie more than 64 deep in each other/,
  },
  {
    name: "lists that do",
    text: `plugins.config.p.a = ${"[".repeat(70)}${"]".repeat(70)}`,
    message: /"plugins\.config\.p\.a…": tables and lists lie more than 64 deep/,
  },
];
test("loadConfig quotes nothing of a text that is no TOML: it may have a login", () => {
  const file = write({ "config.toml": "[registry]\nproxy = 'http://u:s3cret@proxy' x" });
  assert.throws(
    () => loadConfig({ file }),
    (error) => !inspect(error).includes("s3cret") && /not valid TOML/.test(String(error)),
  );
});
for (const { name, text, message } of wrong) {
  test(`loadConfig refuses ${name}`, () => {
    const file = write({ "config.toml": text });
    assert.throws(
      () => loadConfig({ file }),
      (error: unknown) => {
        assert.ok(isFault(error, "INVALID_ARGUMENT"), String(error));
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("loadConfig reports every fault of a file at once", () => {
  const file = write({ "config.toml": "zebra = 1\n[log]\nlevel = 'loud'\nlever = 1" });
  assert.throws(
    () => loadConfig({ file }),
    (error: unknown) => {
      assert.ok(isFault(error));
      assert.equal(error.message.split("\n").length, 3);
      return true;
    },
  );
});

test("loadConfig fails when the named file is missing", () => {
  assert.throws(
    () => loadConfig({ file: path.join(folder, "none.toml") }),
    /cannot read configuration file .*none\.toml: ENOENT/,
  );
});

test("loadConfig takes a file with a key that is no more, says so, and goes on as without it", () => {
  const file = write({
    "config.toml": 'oom_score = -999\n[images]\nsnapshotter = "overlayfs"',
    "config.d/10.toml": '[images]\nsnapshotter = "overlayfs"\nmax_concurrent_downloads = 5',
  });
  const { config, warnings } = loadConfig({ file });
  assert.deepEqual(config, {
    ...defaultConfig,
    images: { ...defaultConfig.images, maxConcurrentDownloads: 5 },
  });
  assert.equal(warnings.length, 3);
  assert.match(warnings[0] ?? "", /^"oom_score" is no key any more .*OOMScoreAdjust \(in /);
  assert.match(
    warnings[1] ?? "",
    /^"images\.snapshotter" is no key any more and can go: .*\(in .*config\.toml\)$/,
  );
  assert.match(warnings[2] ?? "", /10\.toml\)$/);
});

test("loadConfig warns of what is probably not meant", () => {
  const { warnings } = loadConfig({
    file: write({
      "config.toml":
        "[metrics]\naddress = '0.0.0.0:9464'\n[runtime.handlers.runc.options]\nSystemdCgroup = true\n[runtime.handlers.kata]\ntype = 'io.containerd.kata.v2'\nbinary_name = 'kata-runtime'",
    }),
  });
  assert.equal(warnings.length, 3);
});

test("loadConfig refuses what is no regular file or has no end, and waits for neither", () => {
  const fifo = write({});
  makeFifo(fifo, 0o600);
  for (const file of [fifo, "/dev/zero", path.dirname(fifo)])
    assert.throws(() => loadConfig({ file }), /cannot read configuration file .*no regular file/);
  assert.deepEqual(loadConfig({ file: "/dev/null" }).config, defaultConfig);
  const large = write({ "config.toml": "#".repeat(4 * 1024 * 1024 + 1) });
  assert.throws(() => loadConfig({ file: large }), /it has more than \d+ bytes/);
});
