// SPDX-License-Identifier: Apache-2.0
// `npm test`: every step in turn, each timed; a step that fails does not stop the ones after it. The
// last line is `N passed, N failed, N skipped`, where a step that is no test suite counts as one.
//
//   scripts/node scripts/test.ts                     all but the conformance suites, the package and the VM
//   scripts/node scripts/test.ts --only static,unit  only these groups
//   scripts/node scripts/test.ts --e2e main-job      of the end-to-end tests only this file
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { vmStep } from "../test/vm/host/vm-step.ts";
import { CoverageRun, describeCoverage } from "./test/coverage.ts";
import { leftSince, type MachineState, machineState } from "./test/machine-state.ts";
import { nodeTestStep } from "./test/node-test-step.ts";
import { staticSteps } from "./test/static-steps.ts";
import { add, type Counts, describeCounts, none, passed, type Step } from "./test/step.ts";

// Each test file is a process that loads much of src/: half of what it computes is compiling that.
process.env["NODE_COMPILE_CACHE"] ??= path.resolve(import.meta.dirname, "../build/compile-cache");

const usual = ["static", "unit", "integration", "e2e", "leaks"];
const known = [...usual, "conformance", "package", "vm"];
const { values } = parseArgs({ options: { only: { type: "string" }, e2e: { type: "string" } } });
const groups = new Set(values.only === undefined ? usual : values.only.split(","));
for (const group of groups) {
  if (!known.includes(group)) {
    throw new Error(`unknown group "${group}", expected some of ${known.join(", ")}`);
  }
}
const e2e = `test/e2e/${values.e2e ?? "*"}.test.ts`;
const root = path.resolve(import.meta.dirname, "..");
if (globSync(e2e, { cwd: root }).length === 0) {
  throw new Error(`no file ${e2e}`);
}
// What touches the machine is followed by a look at what it left there.
if (["integration", "e2e", "conformance", "package", "vm"].some((group) => groups.has(group)))
  groups.add("leaks");

const before: MachineState = groups.has("leaks")
  ? await machineState()
  : { own: new Set(), others: new Set() };
for (const thing of before.own)
  process.stdout.write(`here before the tests, and so not theirs: ${thing}\n`);
/** Of the tests that run the code in their own process and its threads and children; the others start daemons. */
const covering = ["unit", "integration"];
const mostBesideSeconds = 900;
/**
 * Suites that measure, or look at all that the machine has; and the shorter of the two with critest, whose ports are fixed:
 * the other one is in a later step.
 */
const alone = ["critest-newer-runc", "fresh-machine", "load", "no-stall", "tenants"];
/** One at a time: kubelets change settings of the machine. */
const withKubelets = [
  "cluster",
  "cluster-migration",
  "crictl",
  "kubectl",
  "kubelet",
  "kubelet-user-namespaces",
  "systemd-migration",
];
using coverage = new CoverageRun(path.resolve(import.meta.dirname, "../build"));
const steps: readonly Step[] = [
  ...staticSteps,
  nodeTestStep({
    name: "unit tests",
    group: "unit",
    globs: [
      "src/**/*.test.ts",
      "scripts/**/*.test.ts",
      "test/support/**/*.test.ts",
      "test/soak/**/*.test.ts",
      "test/docs/**/*.test.ts",
      "test/fuzz/**/*.test.ts",
      "bench/**/*.test.ts",
    ],
    // A third of the files' time is that of processes that start and end, or wait.
    concurrency: 3,
    timeoutMs: 120_000,
    fileTimeoutMs: 300_000,
    coverage,
  }),
  nodeTestStep({
    name: "integration tests",
    group: "integration",
    globs: ["test/integration/**/*.test.ts"],
    concurrency: 3,
    timeoutMs: 300_000,
    fileTimeoutMs: 600_000,
    coverage,
  }),
  nodeTestStep({
    name: "e2e tests",
    group: "e2e",
    globs: [e2e],
    // A cluster waits for nearly all of its time.
    beside: globSync(e2e, { cwd: root }).filter((file) =>
      path.basename(file).startsWith("cluster"),
    ),
    // The others wait for shims, for runc and for what is to time out: two of them leave a third of two processors.
    concurrency: 4,
    // A test's own waits are shorter, and a file's end is later than that: what is slow is told in the words of its wait. A
    // file that hangs twice has CI's part of `npm test` still come to its end.
    timeoutMs: 400_000,
    fileTimeoutMs: 480_000,
  }),
  nodeTestStep({
    name: "conformance suites, one alone",
    group: "conformance",
    globs: [`test/e2e/conformance/{${alone.join(",")}}.test.ts`],
    concurrency: 1,
    timeoutMs: 1_200_000,
    fileTimeoutMs: 2_400_000,
  }),
  nodeTestStep({
    name: "conformance suites, three at once",
    group: "conformance",
    globs: [`test/e2e/conformance/{${withKubelets.join(",")}}.test.ts`],
    beside: [`test/e2e/conformance/!(${[...alone, ...withKubelets].join("|")}).test.ts`],
    // Clusters wait for most of their time.
    concurrency: 1,
    besideConcurrency: 2,
    timeoutMs: 1_200_000,
    fileTimeoutMs: 2_400_000,
  }),
  nodeTestStep({
    name: "the package",
    group: "package",
    globs: ["test/package/*.test.ts"],
    concurrency: 2,
    timeoutMs: 1_200_000,
    fileTimeoutMs: 1_500_000,
  }),
  vmStep,
  { name: "nothing is left on the machine", group: "leaks", run: checkLeaks },
];

const rows: { name: string; counts: Counts; seconds: number }[] = [];
for (const step of steps.filter(({ group }) => groups.has(group))) {
  const isSuite = !["static", "leaks"].includes(step.group);
  if (isSuite) process.stdout.write(`\n${step.name}\n`);
  const startedAt = performance.now();
  const counts = await run(step);
  const seconds = (performance.now() - startedAt) / 1000;
  rows.push({ name: step.name, counts, seconds });
  process.stdout.write(`${verdict(counts)} ${step.name} (${seconds.toFixed(1)} s)\n`);
}

const covered = covering.filter((group) => groups.has(group));
if (covered.length > 0) tellCoverage();

const total = rows.reduce((sum, { counts }) => add(sum, counts), none);
const bad = rows.filter(({ counts }) => counts.failed > 0);
process.stdout.write("\n");
for (const { name, counts, seconds } of rows) {
  process.stdout.write(
    `${verdict(counts)} ${name.padEnd(34)} ${seconds.toFixed(1).padStart(7)} s  ${describeCounts(counts)}\n`,
  );
}
process.stdout.write(
  bad.length === 0 ? "\n" : `\nfailed: ${bad.map(({ name }) => name).join("; ")}\n`,
);
process.stdout.write(`${describeCounts(total)}\n`);
process.exitCode = bad.length === 0 ? 0 : 1;

async function run(step: Step): Promise<Counts> {
  try {
    return await step.run();
  } catch (error) {
    process.stdout.write(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return { ...none, failed: 1 };
  }
}

/** Coverage that cannot be measured is told, and fails nothing. */
function tellCoverage(): void {
  process.stdout.write(`\ncoverage of the ${covered.join(" and ")} tests\n`);
  try {
    process.stdout.write(describeCoverage(coverage.measure(root)));
  } catch (error) {
    process.stdout.write(`    it could not be measured: ${String(error)}\n`);
  }
}

function verdict({ passed, failed }: Counts): string {
  if (failed > 0) return "FAIL";
  return passed > 0 ? "ok  " : "skip";
}

/** What CI runs beside this, a process, is not to be taken for what the tests left: it ends first. */
async function endOfBeside(): Promise<void> {
  const pid = process.env["BERTH_TEST_BESIDE"] ?? "";
  for (let second = 0; isRunning(pid) && second < mostBesideSeconds; second++) await sleep(1000);
}

function isRunning(pid: string): boolean {
  try {
    return /^\d+$/.test(pid) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

async function checkLeaks(): Promise<Counts> {
  await endOfBeside();
  const left = await leftSince(before);
  if (left.length === 0) return passed;
  process.stdout.write(left.map((thing) => `    ${thing}\n`).join(""));
  return { ...none, failed: 1 };
}
