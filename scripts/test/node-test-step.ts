// SPDX-License-Identifier: Apache-2.0
import { existsSync, globSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";
import type { CoverageRun } from "./coverage.ts";
import { isUsualLack } from "./may-lack.ts";
import { add, type Counts, none, type Step } from "./step.ts";

const root = path.resolve(import.meta.dirname, "../..");
/** scripts/setup.sh leaves it where it has brought all that the tests need. */
const setUp = path.join(root, "node_modules/.berth-tools-are-here");

export interface NodeTestOptions {
  readonly name: string;
  readonly group: Step["group"];
  readonly globs: readonly string[];
  /** Of `globs`. */
  readonly concurrency: number;
  /** Files that run beside those, one at a time. Those that are among `globs` too run here only. */
  readonly beside?: readonly string[];
  /** For one test. */
  readonly timeoutMs: number;
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
        runFiles(beside, { ...options, concurrency: 1 }),
      ]);
      return add(counts, more);
    },
  };
}

function filesOf(globs: readonly string[]): readonly string[] {
  return globs
    .flatMap((glob) => globSync(glob, { cwd: root }))
    .filter((file) => !file.includes("node_modules"))
    .toSorted()
    .map((file) => path.join(root, file));
}

async function runFiles(files: readonly string[], options: NodeTestOptions): Promise<Counts> {
  if (files.length === 0) return none;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const output = new Map<string, string[]>();
  const reasons = new Map<string, number>();
  const seen = new Set<string>();
  let isSuccess = true;
  const stream = run({
    files: [...files],
    concurrency: options.concurrency,
    timeout: options.timeoutMs,
    cwd: root,
  });

  stream.on("test:stdout", ({ file, message }) => remember(output, file ?? "", message));
  stream.on("test:stderr", ({ file, message }) => remember(output, file ?? "", message));
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
  stream.on("test:summary", (summary) => {
    const file = summary.file;
    if (file === undefined) {
      isSuccess = summary.success;
      return;
    }
    seen.add(file);
    const { tests, passed, skipped, todo } = summary.counts;
    const bad = tests - passed - skipped - todo;
    counts.passed += passed;
    counts.failed += bad;
    counts.skipped += skipped + todo;
    const facts = [
      `${passed} passed`,
      bad > 0 ? `${bad} FAILED` : "",
      skipped > 0 ? `${skipped} skipped` : "",
    ];
    const seconds = (summary.duration_ms / 1000).toFixed(1);
    process.stdout.write(
      `    ${relative(file)}: ${facts.filter(Boolean).join(", ")} (${seconds} s)\n`,
    );
    if (bad > 0) process.stdout.write(indent((output.get(file) ?? []).join("")));
    output.delete(file);
  });
  for await (const _event of stream) {
    // The listeners above do the work; the stream has to be read to its end.
  }
  for (const file of files.filter((file) => !seen.has(file))) {
    counts.failed += 1;
    process.stdout.write(
      `    ${relative(file)}: gave no result\n${indent((output.get(file) ?? []).join(""))}`,
    );
  }
  // A file may fail as a whole though each of its tests passed: an exit code, a late rejection.
  if (!isSuccess && counts.failed === 0) counts.failed += 1;
  for (const [reason, count] of reasons) {
    process.stdout.write(
      `    skipped ${count}: ${reason === "" ? "for no reason given" : reason}\n`,
    );
    if (!existsSync(setUp) || options.group === "vm" || isUsualLack(reason)) continue;
    counts.failed += 1;
    process.stdout.write(
      "    FAILED: scripts/setup.sh has run here, so nothing of this may be lacking (scripts/test/may-lack.ts)\n",
    );
  }
  return counts;
}

function remember(output: Map<string, string[]>, file: string, message: string): void {
  const lines = output.get(file) ?? [];
  // The tail is what tells; a chatty test must not fill the memory.
  if (lines.push(message) > 2000) lines.splice(0, 1000);
  output.set(file, lines);
}

function relative(file: string | undefined): string {
  return file === undefined ? "?" : path.relative(root, file);
}

function indent(text: string): string {
  return text === "" ? "" : `${text.trimEnd().replace(/^/gm, "      ")}\n`;
}
