// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { until } from "../../test/support/until.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import { PodFacts } from "../events/pod-facts.ts";
import { KubeReporter } from "./kube-reporter.ts";
import type { HangingStage } from "./node-degraded.ts";
import type { JobOutcome, KubeJob, Problem, SendsJobs } from "./ports.ts";

class FakeLink implements SendsJobs {
  readonly sent: { readonly kubeconfig: string; readonly jobs: readonly KubeJob[] }[] = [];
  answer: (job: KubeJob) => JobOutcome = () => ({ kind: "done" });

  async send(kubeconfig: string, jobs: readonly KubeJob[]): Promise<readonly JobOutcome[]> {
    this.sent.push({ kubeconfig, jobs });
    return jobs.map((job) => this.answer(job));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

const done: JobOutcome = { kind: "done" };
const away: Problem = { kind: "unreachable", message: "" };
const fails = (problem: Problem) => (): JobOutcome => ({ kind: "failed", problem });
const pod = { namespace: "ns", name: "web", uid: "u" };
const died = { kind: "ShimDied", pod, subject: "", message: "died" } as const;

function made() {
  const link = new FakeLink();
  const facts = new PodFacts();
  const lines: string[] = [];
  const log: Logger = {
    ...silentLogger,
    info: (_, text) => void lines.push(text),
    warn: ({ problem }, text) => void lines.push(`${String(problem)}: ${text}`),
    error: (_, text) => void lines.push(text),
  };
  const stages: HangingStage[] = [];
  const paces = { firstMs: 1, lookMs: 1 };
  const reporter = new KubeReporter({ facts, hanging: () => stages, link, log, paces });
  const jobs = (kind: KubeJob["kind"]) =>
    link.sent.flatMap((one) => one.jobs).filter((job) => job.kind === kind);
  return { link, facts, lines, stages, reporter, jobs };
}

suite("a reporter", () => {
  test("does nothing without a kubeconfig", async () => {
    const { link, facts, reporter } = made();
    await using _reporter = reporter;
    facts.tell(died);
    reporter.configure({ kubeconfig: "", nodeName: "" });
    assert.equal(reporter.state(), undefined);
    assert.deepEqual(link.sent, []);
  });

  test("tells events and the condition, and of the node by the host's name", async () => {
    const { facts, reporter, jobs } = made();
    await using _reporter = reporter;
    reporter.configure({ kubeconfig: "/k", nodeName: "node-7" });
    facts.tell(died);
    await until("both are told", async () => jobs("create-event").length > 0);
    const [condition] = jobs("condition");
    assert.ok(condition?.kind === "condition");
    assert.deepEqual([condition.node, condition.condition.status], ["node-7", "False"]);
    const { sent, waiting, problem } = reporter.state() ?? {};
    assert.deepEqual([sent, waiting, problem], [1, 0, undefined]);
    assert.equal(jobs("condition").length, 1, "no more often than it must be");
  });

  test("leaves a server alone that takes nothing, says so once, and goes on when it does", async () => {
    const { link, facts, lines, reporter, jobs } = made();
    await using _reporter = reporter;
    link.answer = fails({ kind: "throttled", message: "slowly", retryAfterMs: 20 });
    reporter.configure({ kubeconfig: "/k", nodeName: "n" });
    facts.tell(died);
    await until("it fails", async () => reporter.state()?.problem?.kind === "throttled");
    link.answer = () => ({ kind: "done" });
    await until("it goes on", async () => jobs("create-event").length > 1, { timeoutMs: 20_000 });
    await until("all is well", async () => reporter.state()?.problem === undefined);
    assert.deepEqual(lines, [
      "throttled: API server does not take events: pods do not wait for it",
      "API server takes events",
    ]);
  });

  test("tells events where the condition is not allowed, or there is no such node", async () => {
    for (const refused of [
      fails({ kind: "forbidden", message: "no" }),
      (): JobOutcome => ({ kind: "gone" }),
    ]) {
      const { link, facts, reporter } = made();
      await using _reporter = reporter;
      link.answer = (job) => (job.kind === "condition" ? refused() : { kind: "done" });
      reporter.configure({ kubeconfig: "/k", nodeName: "n" });
      await until("it is told", async () => reporter.state()?.condition.problem !== undefined);
      facts.tell(died);
      await until("the event is sent", async () => reporter.state()?.sent === 1);
      const { condition, problem } = reporter.state() ?? {};
      assert.notEqual(condition?.problem, undefined, "and the problem is still shown");
      assert.equal(problem, undefined, "and is not one of the events");
      link.answer = (job) =>
        job.kind === "condition" ? refused() : { kind: "failed", problem: away };
      for (let round = 0; round < 2; round += 1) {
        facts.tell({ ...died, subject: `other ${round}` });
        await until("it fails", async () => reporter.state()?.problem?.kind === "unreachable");
        link.answer = (job) => (job.kind === "condition" ? refused() : { kind: "done" });
        await until("it goes on", async () => reporter.state()?.problem === undefined);
        link.answer = () => ({ kind: "failed", problem: away });
      }
    }
  });

  test("goes on in other namespaces where one takes nothing", async () => {
    const { link, facts, reporter } = made();
    await using _reporter = reporter;
    const broken: JobOutcome = {
      kind: "failed",
      problem: { kind: "broken", message: "a webhook" },
    };
    link.answer = (job) => (job.kind !== "condition" && job.namespace === "ns" ? broken : done);
    reporter.configure({ kubeconfig: "/k", nodeName: "n" });
    for (let at = 0; at < 30; at += 1) facts.tell({ ...died, pod: { ...pod, uid: `u${at}` } });
    facts.tell({ ...died, pod: { ...pod, namespace: "other" } });
    await until("the other is told", async () => reporter.state()?.sent === 1);
  });

  test("is turned off with a last word, and takes up another cluster", async () => {
    const { link, reporter, jobs } = made();
    await using _reporter = reporter;
    reporter.configure({ kubeconfig: "/a", nodeName: "n" });
    await until("it is told", async () => jobs("condition").length === 1);
    reporter.configure({ kubeconfig: "/b", nodeName: "n" });
    await until("and there", async () => link.sent.at(-1)?.kubeconfig === "/b");
    reporter.configure({ kubeconfig: "", nodeName: "n" });
    const states = () =>
      link.sent.map(({ kubeconfig, jobs: [job] }) =>
        job?.kind === "condition" ? `${kubeconfig} ${job.condition.status}` : "",
      );
    const expected = ["/a False", "/a Unknown", "/b False", "/b Unknown"];
    await until("it has taken leave", async () => states().length === expected.length);
    assert.deepEqual(states(), expected);
    assert.equal(reporter.state(), undefined);
  });
});
