// SPDX-License-Identifier: Apache-2.0
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { digestOf, hexOf } from "../../../src/content/digest.ts";
import type { ChildResult, ChildTask } from "./child.ts";
import { readCurrent } from "./current-input.ts";
import { watch } from "./watch.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const findings = path.join(root, "build/fuzz");
const heapMiB = 256;

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
}

export interface Outcome {
  readonly name: string;
  readonly executed: number;
  readonly seconds: number;
  /** Undefined where the process died before it could tell. */
  readonly search: Pick<ChildResult, "kept" | "reached" | "places"> | undefined;
  readonly fault: Fault | undefined;
}

export interface Fault {
  /** In a word or two: "threw", "hangs". */
  readonly problem: string;
  readonly text: string;
  /** The input that shows it, from the project's root. */
  readonly file: string;
  /** Whether it showed again, by that input alone. */
  readonly repeats: boolean;
}

/** Fuzzes a target in a process of its own, until something is found or the runs or the time are over. */
export async function fuzzOne(name: string, options: FuzzOptions): Promise<Outcome> {
  const startedAt = performance.now();
  const ended = await runChild({ target: name, ...options });
  const seconds = (performance.now() - startedAt) / 1000;
  const { executed, result, problem, text, input } = ended;
  if (problem === undefined) {
    return { name, executed, seconds, search: result, fault: undefined };
  }
  mkdirSync(findings, { recursive: true });
  const hash = hexOf(digestOf(input)).slice(0, 12);
  const file = path.join(findings, `${name.replace(/.*#/, "")}-${problem}-${hash}`);
  writeFileSync(file, input);
  const again = await runChild({ target: name, ...options, only: file });
  const repeats = again.problem !== undefined;
  const fault = { problem, text, file: path.relative(root, file), repeats };
  return { name, executed, seconds, search: result, fault };
}

/** Runs one input of a target; undefined where all holds. */
export async function replay(name: string, file: string): Promise<string | undefined> {
  const only = path.resolve(file);
  if (!existsSync(only)) throw new Error(`no file ${file}`);
  const { problem, text } = await runChild({ target: name, seed: 0, runs: 1, seconds: 60, only });
  return problem === undefined ? undefined : `${problem}: ${text}`;
}

interface Ended {
  readonly executed: number;
  readonly result: ChildResult | undefined;
  readonly problem: string | undefined;
  readonly text: string;
  readonly input: Buffer;
}

async function runChild(
  what: Omit<ChildTask, "currentFile" | "surroundings" | "findingFile">,
): Promise<Ended> {
  const scratch = mkdtempSync("/dev/shm/berth-fuzz-");
  try {
    const surroundings = path.join(scratch, "surroundings");
    mkdirSync(surroundings);
    const currentFile = path.join(scratch, "current");
    const findingFile = path.join(scratch, "finding");
    const task: ChildTask = { ...what, surroundings, currentFile, findingFile };
    const { result, trouble, output } = await superviseChild(task);
    const current = readCurrent(currentFile);
    const executed = result?.executed ?? current?.begun ?? 0;
    const found = (): Buffer =>
      existsSync(findingFile) ? readFileSync(findingFile) : (current?.input ?? Buffer.alloc(0));
    const told = result?.finding ?? trouble;
    if (result !== undefined && told === undefined) {
      return { executed, result, problem: undefined, text: "", input: Buffer.alloc(0) };
    }
    if (told !== undefined) return { executed, result, ...told, input: found() };
    return { executed, result, problem: "ended", text: output.trimEnd(), input: found() };
  } finally {
    // A killed process may still be at its folder for a moment.
    await rm(scratch, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function superviseChild(task: ChildTask): Promise<{
  result: ChildResult | undefined;
  trouble: Awaited<ReturnType<typeof watch>>;
  output: string;
}> {
  const child = fork(path.join(import.meta.dirname, "child.ts"), [JSON.stringify(task)], {
    execArgv: [
      `--max-old-space-size=${heapMiB}`,
      // Of the function that strips types from what is instrumented.
      "--disable-warning=ExperimentalWarning",
      "--stack-trace-limit=20",
    ],
    env: { ...process.env, TMPDIR: path.join(task.surroundings, "inside") },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const over = new AbortController();
  let result: ChildResult | undefined;
  let output = "";
  child.on("message", (message) => (result = message as ChildResult));
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-8000);
    });
  }
  const exit = once(child, "exit") as Promise<[code: number | null, signal: string | null]>;
  void exit.then(() => over.abort());
  const trouble =
    child.pid === undefined ? undefined : await watch(child.pid, task.currentFile, over.signal);
  if (trouble !== undefined) child.kill("SIGKILL");
  const [code, signal] = await exit;
  if (result === undefined) output += `\nended with ${signal ?? `exit code ${code}`}`;
  return { result, trouble, output };
}
