// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { run } from "../../../src/base/process.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { dashboardExpressions } from "../../support/dashboard.ts";
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

interface Alert {
  readonly name: string;
  readonly severity: "warning" | "critical";
  /** Input series, each with a value a minute. The label `instance` is "n" unless one has its own labels. */
  readonly series: Readonly<Record<string, string>>;
  /** Minutes after which it does not fire yet, and after which it does. */
  readonly silentAt: number;
  readonly firesAt: number;
  /** Labels of its besides instance and severity. */
  readonly labels?: string;
}

const starts = (le: string): string =>
  `berth_rpc_duration_seconds_bucket{instance="n",method="RunPodSandbox",le="${le}"}`;

const alerts: readonly Alert[] = [
  {
    name: "BerthDown",
    severity: "critical",
    series: { 'up{instance="n",job="berthd"}': "1 1 0x10" },
    silentAt: 3,
    firesAt: 5,
    labels: ',job="berthd"',
  },
  {
    name: "BerthSlowPodStart",
    severity: "warning",
    series: { [starts("10")]: "0x60", [starts("30")]: "0+6x60", [starts("+Inf")]: "0+6x60" },
    silentAt: 9,
    firesAt: 13,
  },
  {
    name: "BerthLogLoss",
    severity: "warning",
    series: { berth_log_lost_bytes_total: "0 0 0 7x20" },
    silentAt: 2,
    firesAt: 4,
  },
  {
    name: "BerthStuckRemovals",
    severity: "warning",
    series: { berth_stuck_removals: "0 2x70" },
    silentAt: 60,
    firesAt: 62,
  },
  {
    name: "BerthLostSockets",
    severity: "warning",
    series: { berth_lost_sockets: "0 0 1x10" },
    silentAt: 2,
    firesAt: 4,
  },
  {
    name: "BerthNriPluginLate",
    severity: "warning",
    series: { 'berth_nri_plugins{instance="n",state="late"}': "0 0 1 0x20" },
    silentAt: 1,
    firesAt: 4,
    labels: ',state="late"',
  },
  {
    name: "BerthNriPluginGone",
    severity: "warning",
    series: { 'berth_nri_plugins{instance="n",state="gone"}': "0x5 1x10" },
    silentAt: 6,
    firesAt: 9,
    labels: ',state="gone"',
  },
  {
    name: "BerthNriPluginMissing",
    severity: "critical",
    series: { berth_nri_missing_plugins: "1 0 0 2x10" },
    silentAt: 4,
    firesAt: 6,
  },
  {
    name: "BerthNriCallsFail",
    severity: "warning",
    series: {
      'berth_nri_calls_total{instance="n",plugin="10-a",call="CreateContainer",result="failed"}':
        "0 0 4 8x20",
    },
    silentAt: 1,
    firesAt: 5,
    labels: ',plugin="10-a"',
  },
  {
    name: "BerthOomKills",
    severity: "warning",
    series: { berth_oom_kills_total: "0 1 3 9x20" },
    silentAt: 2,
    firesAt: 6,
  },
  {
    name: "BerthPullsFail",
    severity: "warning",
    series: { 'berth_image_pull_seconds_count{instance="n",result="failure"}': "0 1 3 9x20" },
    silentAt: 2,
    firesAt: 6,
  },
  {
    name: "BerthRefusesCalls",
    severity: "warning",
    series: { 'berth_refused_calls_total{instance="n",reason="requests"}': "0 0 1x20" },
    silentAt: 1,
    firesAt: 4,
    labels: ',reason="requests"',
  },
  {
    name: "BerthReloadFailed",
    severity: "warning",
    series: { berth_config_last_reload_successful: "1 0x20" },
    silentAt: 5,
    firesAt: 7,
  },
  {
    name: "BerthEventsDropped",
    severity: "warning",
    series: { berth_events_dropped_total: "0 0 3x20" },
    silentAt: 1,
    firesAt: 4,
  },
];

test("each alert has a test of when it fires", () => {
  const named = [...read("prometheus/berth-rules.yml").matchAll(/- alert: (\w+)/g)];
  assert.deepEqual(
    named.map(([, name]) => name),
    alerts.map(({ name }) => name),
  );
});

test("alerts fire when they are to, and not before", {
  skip: findProgram("promtool") ? false : "needs promtool",
}, async () => {
  await using folder = await scratch();
  const file = path.join(folder.path, "alerts.yml");
  const firing = ({ name, severity, labels = "" }: Alert) => [
    {
      labels: `ALERTS{alertname="${name}",alertstate="firing",instance="n",severity="${severity}"${labels}}`,
      value: 1,
    },
  ];
  const tests = alerts.map((alert) => {
    const expr = `ALERTS{alertname="${alert.name}",alertstate="firing"}`;
    return {
      interval: "1m",
      input_series: Object.entries(alert.series).map(([name, values]) => ({
        series: name.includes("{") ? name : `${name}{instance="n"}`,
        values,
      })),
      promql_expr_test: [
        { expr, eval_time: `${alert.silentAt}m`, exp_samples: [] },
        { expr, eval_time: `${alert.firesAt}m`, exp_samples: firing(alert) },
      ],
    };
  });
  const rules = [path.join(deploy, "prometheus/berth-rules.yml")];
  // YAML has JSON in it.
  await writeFile(file, JSON.stringify({ rule_files: rules, evaluation_interval: "1m", tests }));
  await run("promtool", ["test", "rules", file]);
});

test("promtool takes the dashboard's expressions", {
  skip: findProgram("promtool") ? false : "needs promtool",
}, async () => {
  await using folder = await scratch();
  const file = path.join(folder.path, "dashboard.yml");
  const expressions = dashboardExpressions(read("grafana/berth.json"));
  assert.ok(expressions.length > 20);
  const rules = expressions.map((expr, place) => ({
    record: `panel:${place}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".*"),
  }));
  await writeFile(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  await run("promtool", ["check", "rules", file]);
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
