// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "./config.ts";
import { defaultConfig, defaultHandler, defaultOperatorPlugin } from "./defaults.ts";
import { diffConfigs } from "./reload-diff.ts";
import { planReload } from "./reload-plan.ts";

const base = defaultConfig;
const other = { ...defaultHandler, binaryName: "/usr/bin/other" };
const withHandlers = (handlers: Config["runtime"]["handlers"]): Config => ({
  ...base,
  runtime: { ...base.runtime, handlers },
});
const withSettings = (settings: Readonly<Record<string, unknown>>): Config => ({
  ...base,
  plugins: { ...base.plugins, config: { one: { ...defaultOperatorPlugin, settings } } },
});

const differences: readonly (readonly [string, Config, Config, readonly string[]])[] = [
  ["nothing", base, structuredClone(base), []],
  [
    "single keys, in the order of the reference",
    base,
    { ...base, root: "/r", log: { ...base.log, level: "debug" } },
    ['root: "/var/lib/berthd" → "/r"', 'log.level: "info" → "debug"'],
  ],
  [
    "units as the file has them",
    base,
    { ...base, timeouts: { ...base.timeouts, cniMs: 90_000 } },
    ['timeouts.cni: "3m" → "1m30s"'],
  ],
  [
    "a handler that comes, with what is its own",
    base,
    withHandlers({ ...base.runtime.handlers, other }),
    ['runtime.handlers.other: none → { binary_name = "/usr/bin/other" }'],
  ],
  [
    "a handler that goes",
    withHandlers({ ...base.runtime.handlers, other }),
    base,
    ['runtime.handlers.other: { binary_name = "/usr/bin/other" } → none'],
  ],
  [
    "a key of a handler",
    withHandlers({ runc: defaultHandler }),
    withHandlers({ runc: { ...defaultHandler, systemdCgroup: true } }),
    ["runtime.handlers.runc.systemd_cgroup: false → true"],
  ],
  [
    "settings of plugins, which are not shown",
    withSettings({ token: "a", old: 1 }),
    withSettings({ token: "b", fresh: 1 }),
    [
      "plugins.config.one.token: changed, not shown",
      "plugins.config.one.old: removed, not shown",
      "plugins.config.one.fresh: added, not shown",
    ],
  ],
];

for (const [what, before, after, expected] of differences) {
  test(`the difference of two configurations: ${what}`, () => {
    const texts = diffConfigs(before, after).map(({ text }) => text);
    assert.deepEqual(texts, expected);
  });
}

test("a plan takes up what reloads, and leaves as it is what needs a restart", () => {
  const wanted: Config = {
    ...withHandlers({ ...base.runtime.handlers, other }),
    root: "/r",
    grpc: { ...base.grpc, gid: 7 },
    log: { level: "debug", format: "json" },
    plugins: { dir: base.plugins.dir, config: { one: defaultOperatorPlugin } },
  };
  const { next, changes, waiting } = planReload(base, wanted, () => false);
  assert.deepEqual(
    changes.map(({ key }) => key.join(".")),
    ["log.level", "runtime.handlers.other"],
  );
  assert.deepEqual(
    waiting.map(({ key }) => key.join(".")),
    ["root", "grpc.gid", "log.format", "plugins.config.one"],
  );
  const expected = withHandlers({ ...base.runtime.handlers, other });
  assert.deepEqual(next, { ...expected, log: { ...base.log, level: "debug" } });
  assert.ok(Object.isFrozen(next.runtime.handlers["other"]));
});

test("what was left for a restart is named again by the next plan, until the file takes it back", () => {
  const wanted: Config = { ...base, root: "/r" };
  const first = planReload(base, wanted, () => false);
  assert.equal(planReload(first.next, wanted, () => false).waiting.length, 1);
  assert.equal(planReload(first.next, base, () => false).waiting.length, 0);
});

test("keys of a part that is not up wait for a restart", () => {
  const wanted: Config = { ...base, metrics: { address: "" } };
  const { next, changes, waiting } = planReload(base, wanted, ([first]) => first === "metrics");
  assert.deepEqual(next, base);
  assert.deepEqual([changes.length, waiting.length], [0, 1]);
});
