// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { dashboardExpressions } from "../support/dashboard.ts";
import { findProgram, lacking, podPrograms } from "../support/lacking.ts";
import { type Cri, type RunningPod } from "../support/pods.ts";
import { type Family, parsePrometheusText } from "../support/prometheus-text.ts";
import { run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

suite("Prometheus", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let text = "";
  let families: Map<string, Family>;

  const scrape = async (): Promise<string> => {
    const answer = await fetch(`${bed.daemon.metricsUrl}/metrics`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    return answer.text();
  };

  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    pod = await cri.runPod();
    const id = await cri.startContainer(
      pod,
      bed.images.shell.reference,
      ["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 100000"],
      { metadata: { name: "busy", attempt: 0 } },
    );
    await cri.exec(id, ["true"]);
    await until("the container's CPU time is on /metrics", async () => {
      text = await scrape();
      families = parsePrometheusText(text);
      return samplesOf("container_cpu_usage_seconds_total").some(
        ({ labels, value }) => labels["container"] === "busy" && value > 0,
      );
    });
  });
  after(() => bed?.finish());

  const samplesOf = (name: string): Family["samples"] => families.get(name)?.samples ?? [];

  test("reads the exposition without complaint", async (t) => {
    if (!findProgram("promtool")) return t.skip("needs promtool (Debian's prometheus)");
    // Exit code 1 is a text it cannot read; 3 is its taste in names, which cAdvisor's do not meet.
    const { code, stderr } = await run("promtool", ["check", "metrics"], { input: text });
    assert.ok(code === 0 || code === 3, stderr);
  });

  test("has every metric that the rules and the dashboard of deploy/ ask for", async () => {
    const deploy = path.resolve(import.meta.dirname, "../../deploy");
    const rules = await readFile(path.join(deploy, "prometheus/berth-rules.yml"), "utf8");
    const panels = dashboardExpressions(
      await readFile(path.join(deploy, "grafana/berth.json"), "utf8"),
    );
    const asked = `${rules}\n${panels.join("\n")}`.matchAll(
      /(?<![\w:])(?:berth|container|process)_[a-z_]+(?=[[{\s)])/g,
    );
    const names = new Set([...asked].map(([name]) => name));
    assert.ok(names.size > 25, `${names.size}`);
    const missing = [...names].filter(
      (name) => !families.has(name) && !families.has(name.replace(/_(bucket|count|sum)$/, "")),
    );
    assert.deepEqual(missing, []);
  });

  test("finds a task's figures under the pod's names", () => {
    for (const name of [
      "container_cpu_usage_seconds_total",
      "container_memory_working_set_bytes",
      "container_memory_usage_bytes",
      "container_processes",
      "container_oom_events_total",
    ]) {
      const sample = samplesOf(name).find(({ labels }) => labels["container"] === "busy");
      assert.ok(sample, `${name} of the container`);
      assert.equal(sample.labels["namespace"], "default", name);
      assert.equal(sample.labels["pod"], pod.config.metadata!.name, name);
    }
  });

  test("finds how long calls and stages took, and what was built", () => {
    const histograms = [...families.values()].filter(({ type }) => type === "histogram");
    const hasLabel = (wanted: string) =>
      histograms.some(({ samples }) =>
        samples.some(({ labels }) => Object.values(labels).some((value) => value === wanted)),
      );
    assert.ok(hasLabel("RunPodSandbox"), "latency of RunPodSandbox");
    assert.ok(hasLabel("ExecSync"), "latency of ExecSync");
    assert.ok(hasLabel("network"), "the pod start's stage network");
    assert.ok([...families.keys()].some((name) => name.endsWith("_build_info")));
  });

  test("no longer finds a pod that was removed", async () => {
    const gone = await cri.runPod();
    await cri.removePod(gone.id);
    const name = gone.config.metadata!.name!;
    await until("its series are gone", async () => !(await scrape()).includes(`pod="${name}"`));
  });

  test("/healthz is well, other paths are not there", async () => {
    const health = await fetch(`${bed.daemon.metricsUrl}/healthz`);
    assert.equal(health.status, 200);
    await health.text();
    const other = await fetch(`${bed.daemon.metricsUrl}/no-such`);
    assert.equal(other.status, 404);
    await other.text();
  });
});
