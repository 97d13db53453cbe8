// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { run } from "../../../src/base/process.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { findProgram } from "../../support/lacking.ts";
import { scratch } from "../../support/scratch.ts";

const deploy = path.resolve(import.meta.dirname, "../../../deploy");
const read = (name: string): string => readFileSync(path.join(deploy, name), "utf8");

test("the deployed configuration is valid and warns of nothing", () => {
  const { config, warnings } = loadConfig({ file: path.join(deploy, "config.toml") });
  assert.deepEqual(warnings, []);
  assert.equal(config.runtime.handlers["runc"]?.systemdCgroup, true);
});

for (const name of [
  "crictl.yaml",
  "kubelet-config.yaml",
  "runtimeclass.yaml",
  "prometheus/scrape.yml",
  "prometheus/berth-rules.yml",
]) {
  test(`${name} is YAML, and names berthd's socket where it names one`, () => {
    for (const document of parseAllDocuments(read(name))) assert.deepEqual(document.errors, []);
    for (const [address] of read(name).matchAll(/unix:\S+/g)) {
      assert.equal(address, "unix:///run/berthd/berthd.sock");
    }
  });
}

test("the socket where cAdvisor looks can be had by taking a comment sign away", () => {
  assert.match(
    read("config.toml"),
    /^\[grpc\]\n# also = \["\/run\/containerd\/containerd\.sock"\]$/m,
  );
});

test("the example network names plugins that Debian has", () => {
  const { plugins } = JSON.parse(read("cni/10-berth.conflist")) as { plugins: { type: string }[] };
  assert.deepEqual(
    plugins.map(({ type }) => type),
    ["bridge", "portmap"],
  );
});

test("promtool takes the rules", {
  skip: findProgram("promtool") ? false : "needs promtool",
}, async () => {
  await run("promtool", ["check", "rules", path.join(deploy, "prometheus/berth-rules.yml")]);
});

const alerts: readonly {
  readonly name: string;
  readonly severity: string;
  readonly series: string;
  /** One a minute. */
  readonly values: string;
  /** Minutes after which it does not fire yet, and after which it does. */
  readonly silentAt: number;
  readonly firesAt: number;
}[] = [
  {
    name: "BerthLostSockets",
    severity: "warning",
    series: "berth_lost_sockets",
    values: "0 0 1x10",
    silentAt: 2,
    firesAt: 4,
  },
  {
    name: "BerthNriPluginMissing",
    severity: "critical",
    series: "berth_nri_missing_plugins",
    values: "1 0 0 2x10",
    silentAt: 4,
    firesAt: 6,
  },
];

test("alerts fire when they are to, and not before", {
  skip: findProgram("promtool") ? false : "needs promtool",
}, async () => {
  await using folder = await scratch();
  const file = path.join(folder.path, "alerts.yml");
  const samples = ({ name, severity }: (typeof alerts)[number]) => [
    {
      labels: `ALERTS{alertname="${name}",alertstate="firing",instance="n",severity="${severity}"}`,
      value: 1,
    },
  ];
  const tests = alerts.map((alert) => {
    const expr = `ALERTS{alertname="${alert.name}",alertstate="firing"}`;
    return {
      interval: "1m",
      input_series: [{ series: `${alert.series}{instance="n"}`, values: alert.values }],
      promql_expr_test: [
        { expr, eval_time: `${alert.silentAt}m`, exp_samples: [] },
        { expr, eval_time: `${alert.firesAt}m`, exp_samples: samples(alert) },
      ],
    };
  });
  const rules = [path.join(deploy, "prometheus/berth-rules.yml")];
  // YAML has JSON in it.
  await writeFile(file, JSON.stringify({ rule_files: rules, evaluation_interval: "1m", tests }));
  await run("promtool", ["test", "rules", file]);
});

/** What a process hands on to those it starts, or what gives the unit a mount namespace of its own. */
const takenFromContainers =
  /^(CapabilityBoundingSet|AmbientCapabilities|NoNewPrivileges|SecureBits|SystemCall.*|Restrict(AddressFamilies|Namespaces|Realtime|SUIDSGID)|LockPersonality|MemoryDenyWriteExecute|Protect.*|Private.*|MountFlags|BindPaths|BindReadOnlyPaths|TemporaryFileSystem|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths|RootDirectory|RootImage|User|Group|DynamicUser|IPAddress.*|Personality|UMask|Nice|CPUSchedulingPolicy|StandardInput)=/m;

test("the unit takes nothing that containers would be without", () => {
  const unit = read("systemd/berthd.service");
  assert.doesNotMatch(unit, takenFromContainers);
  assert.ok(unit.split("\n").includes("OOMPolicy=continue"));
  assert.match(`${unit}NoNewPrivileges=yes\n`, takenFromContainers);
});

const analyze = findProgram("systemd-analyze");
test("systemd takes the unit's keys", {
  skip: analyze ? false : "needs systemd-analyze",
}, async () => {
  const unit = path.join(deploy, "systemd/berthd.service");
  const { stdout } = await run(analyze ?? "", ["verify", "--man=no", unit], {
    anyExitCode: true,
    mergeStderr: true,
  });
  // The programs the unit names need not be installed here; every key and value has to be known.
  assert.doesNotMatch(stdout.toString(), /Unknown|Failed to parse|invalid/i);
});
