// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { labelledPlugins } from "./nri-metrics.ts";
import type { NriPluginState } from "./ports.ts";
import { createMetrics } from "./registry.ts";

const linesOf = (text: string, name: string): string[] =>
  text.split("\n").filter((line) => line.startsWith(name));

test("calls of plugins are counted by plugin, call and result; their time by call", async () => {
  const { nri, registry } = createMetrics({ version: "1", revision: "r" });
  nri.answered("CreateContainer", 0.003);
  nri.answered("CreateContainer", 40);
  nri.ended("10-a", "CreateContainer", "answered");
  nri.ended("10-a", "CreateContainer", "failed");
  nri.ended("10-a", "CreateContainer", "failed");
  nri.adjusted("10-a");
  const text = await registry.metrics();
  assert.deepEqual(linesOf(text, "berth_nri_calls_total"), [
    'berth_nri_calls_total{plugin="10-a",call="CreateContainer",result="answered"} 1',
    'berth_nri_calls_total{plugin="10-a",call="CreateContainer",result="failed"} 2',
  ]);
  assert.deepEqual(linesOf(text, "berth_nri_adjustments_total"), [
    'berth_nri_adjustments_total{plugin="10-a"} 1',
  ]);
  assert.match(text, /^berth_nri_call_seconds_bucket\{le="0.0025",call="CreateContainer"\} 0$/m);
  assert.match(text, /^berth_nri_call_seconds_bucket\{le="0.005",call="CreateContainer"\} 1$/m);
  assert.match(text, /^berth_nri_call_seconds_count\{call="CreateContainer"\} 2$/m);
});

test("plugins that come with ever new names make no series without end", async () => {
  const { nri, registry } = createMetrics({ version: "1", revision: "r" });
  for (let at = 0; at < 1000; at += 1) {
    nri.ended(`10-p${at}`, "RunPodSandbox", "answered");
    nri.adjusted(`10-p${at}`);
  }
  nri.ended("10-p0", "RunPodSandbox", "answered");
  const text = await registry.metrics();
  for (const name of ["berth_nri_calls_total", "berth_nri_adjustments_total"]) {
    const lines = linesOf(text, name);
    assert.equal(lines.length, labelledPlugins + 1);
    const others = lines.find((line) => line.includes('plugin="other"'));
    assert.match(others ?? "", new RegExp(` ${1000 - labelledPlugins}$`));
  }
  assert.match(text, /^berth_nri_calls_total\{plugin="10-p0",.*\} 2$/m);
});

test("a plugin that has come back is not counted as gone", async () => {
  let plugins: NriPluginState[] = [];
  const metrics = createMetrics({ version: "1", revision: "r" });
  metrics.observe({ nriPlugins: () => plugins });
  const counted = async (): Promise<string[]> =>
    linesOf(await metrics.registry.metrics(), "berth_nri_plugins").map((line) =>
      line.replace(/.*"(.*)"\}/, "$1"),
    );
  assert.deepEqual(await counted(), ["joining 0", "serving 0", "late 0", "gone 0"]);
  plugins = [
    { index: "10", name: "a", state: "serving" },
    { index: "10", name: "a", state: "gone" },
    { index: "20", name: "a", state: "gone" },
    { index: "20", name: "a", state: "gone" },
    { index: "30", name: "b", state: "late" },
  ];
  assert.deepEqual(await counted(), ["joining 0", "serving 1", "late 1", "gone 1"]);
});
