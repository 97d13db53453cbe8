// SPDX-License-Identifier: Apache-2.0
import { existsSync, globSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { run } from "node:test";
import { removeFolderSync } from "../../src/base/remove-folder.ts";
import type { CoverageRun } from "./coverage.ts";
import { longestFirst } from "./long-files.ts";
import { isUsualLack } from "./may-lack.ts";
import { endOverdue, fileVariable, reportFlags } from "./overdue-file.ts";
import { add, type Counts, failed, none, type Step } from "./step.ts";

const root = path.resolve(import.meta.dirname, "../..");
/** scripts/setup.sh leaves it where it has brought all that the tests need. */
const setUp = path.join(root, "node_modules/.berth-tools-are-here");

export interface NodeTestOptions {
  readonly name: string;
  readonly group: Step["group"];
  readonly globs: readonly string[];
  /** Of `globs`. */
  readonly concurrency: number;
  /** Files that run beside those. Those that are among `globs` too run here only. */
  readonly beside?: readonly string[];
  /** Of `beside`. Default 1. */
  readonly besideConcurrency?: number;
  /** For one test. */
  readonly timeoutMs: number;
  /** For a file's process, from its start to its end. */
  readonly fileTimeoutMs: number;
  /** What did not end has a second run. Default true. */
  readonly retriesOverdue?: boolean;
  /** Gets what lines of src/ have been run. */
  readonly coverage?: CoverageRun;
  /** Tells each test as it ends: for runs so slow that somebody watches. */
  readonly tellEach?: boolean;
}

/** Runs test files with node:test, a process each; tells one line a file, and all about a failure. */
export function nodeTestStep(options: NodeTestOptions): Step {
  return {
    name: options.name,
    group: options.group,
    run: async () => {
      using _collecting = options.coverage?.collect();
      const beside = filesOf(options.beside ?? []);
      const files = filesOf(options.globs).filter((file) => !beside.includes(file));
      const [counts, more] = await Promise.all([
        runFiles(files, options),
        runFiles(beside, { ...options, concurrency: options.besideConcurrency ?? 1 }),
      ]);
      return add(counts, more);
    },
  };
}

function filesOf(globs: readonly string[]): readonly string[] {
  return globs
    .flatMap((glob) => globSync(glob, { cwd: root }))
    .filter((file) => !file.includes("node_modules"))
    .toSorted(longestFirst)
    .map((file) => path.resolve(root, file));
}

/** Each in a run of its own: in one for all, a file that hangs holds back what is told of those after it. */
async function runFiles(files: readonly string[], options: NodeTestOptions): Promise<Counts> {
  const waiting = files.values();
  const reasons = new Map<string, number>();
  let counts = none;
  const lane = async (): Promise<void> => {
    for (const file of waiting) {
      const first = await runFile(file, reasons, options);
      // Once may be the machine's doing, and what it was is told. Twice is the file's.
      const isTwice = first.isOverdue && options.retriesOverdue !== false;
      const more = isTwice ? await runFile(file, reasons, options) : first;
      counts = add(counts, more.counts);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, lane));
  for (const [reason, count] of reasons) {
    process.stdout.write(
      `    skipped ${count}: ${reason === "" ? "for no reason given" : reason}\n`,
    );
    if (!existsSync(setUp) || options.group === "vm" || isUsualLack(reason)) continue;
    counts = add(counts, failed);
    process.stdout.write(
      "    FAILED: scripts/setup.sh has run here, so nothing of this may be lacking (scripts/test/may-lack.ts)\n",
    );
  }
  return counts;
}

async function runFile(
  file: string,
  reasons: Map<string, number>,
  options: NodeTestOptions,
): Promise<{ readonly counts: Counts; readonly isOverdue: boolean }> {
  const output: string[] = [];
  const told: { counts: Counts; isWhole: boolean } = { counts: none, isWhole: false };
  const overdue = new AbortController();
  const reports = mkdtempSync(path.join(tmpdir(), "test-report-"));
  using _reports = { [Symbol.dispose]: () => removeFolderSync(reports) };
  const how = {
    files: [file],
    timeout: options.timeoutMs,
    cwd: root,
    signal: overdue.signal,
    execArgv: [...reportFlags(reports)],
    // Of Node 26, and not yet among its types.
    env: { ...process.env, [fileVariable]: file },
  };
  const stream = run(how);
  let ending: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    const why = await endOverdue(file, reports);
    const what = `${relative(file)}: not ended after ${options.fileTimeoutMs / 1000} s`;
    process.stdout.write(`    HUNG ${what}\n${indent(why)}`);
    overdue.abort();
  };
  const timer = setTimeout(() => {
    ending = end();
  }, options.fileTimeoutMs);

  stream.on("test:stdout", ({ message }) => remember(output, message));
  stream.on("test:stderr", ({ message }) => remember(output, message));
  stream.on("test:pass", ({ name, skip, details }) => {
    if (options.tellEach === true && details.type !== "suite") {
      const seconds = (details.duration_ms / 1000).toFixed(1);
      process.stdout.write(
        `      ${skip === undefined ? "ok" : "skipped"} ${name} (${seconds} s)\n`,
      );
    }
    if (skip === undefined || skip === false) return;
    const reason = typeof skip === "string" ? skip : "";
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  });
  stream.on("test:fail", (event) => {
    const { error } = event.details;
    const cause = error.cause instanceof Error ? error.cause : error;
    process.stdout.write(
      `    FAILED ${relative(event.file)}:${event.line ?? 0} ${event.name}\n${indent(cause.stack ?? cause.message)}`,
    );
  });
  // The first is the file's own, which a process that was killed does not give; the last is the run's.
  stream.on("test:summary", (summary) => {
    const { tests, passed, skipped, todo } = summary.counts;
    const bad = tests - passed - skipped - todo;
    if (summary.file === undefined) {
      // A file may fail as a whole though each of its tests passed: an exit code, a late rejection.
      const more = Number(!summary.success && told.counts.failed === 0);
      told.counts = add(told.counts, { ...none, failed: more });
      return;
    }
    told.isWhole = true;
    told.counts = { passed, failed: bad, skipped: skipped + todo };
    const facts = [
      `${passed} passed`,
      bad > 0 ? `${bad} FAILED` : "",
      skipped > 0 ? `${skipped} skipped` : "",
    ];
    const seconds = (summary.duration_ms / 1000).toFixed(1);
    process.stdout.write(
      `    ${relative(file)}: ${facts.filter(Boolean).join(", ")} (${seconds} s)\n`,
    );
    if (bad > 0) process.stdout.write(indent(output.join("")));
  });
  for await (const _event of stream) {
    // The listeners above do the work; the stream has to be read to its end.
  }
  clearTimeout(timer);
  await ending;
  if (!told.isWhole) {
    told.counts = add(told.counts, told.counts.failed === 0 ? failed : none);
    process.stdout.write(`    ${relative(file)}: gave no result\n${indent(output.join(""))}`);
  }
  return { counts: told.counts, isOverdue: ending !== undefined };
}

function remember(output: string[], message: string): void {
  // The tail is what tells; a chatty test must not fill the memory.
  if (output.push(message) > 2000) output.splice(0, 1000);
}

function relative(file: string | undefined): string {
  return file === undefined ? "?" : path.relative(root, file);
}

function indent(text: string): string {
  return text === "" ? "" : `${text.trimEnd().replace(/^/gm, "      ")}\n`;
}
