// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { countAllocations } from "./allocations.ts";
import { Canary } from "./canary.ts";
import { CurrentInput } from "./current-input.ts";
import { Executor, type Finding } from "./executor.ts";
import { instrumentLoaded, type LoadedFile } from "./load-instrumented.ts";
import { minimise } from "./minimise.ts";
import { Search } from "./search.ts";
import { loadTarget } from "./targets.ts";

// The process in which one target is fuzzed: its working folder is a scratch one, its memory is limited, and its
// parent watches it.

/** What the process is to do. */
export interface ChildTask {
  readonly target: string;
  readonly seed: number;
  /** Inputs, corpus included. */
  readonly runs: number;
  readonly seconds: number;
  /** The one input to be run instead. */
  readonly only?: string;
  /** Where the process says what it is at. */
  readonly currentFile: string;
  /** The empty folder for the canaries; the working folder lies in it. */
  readonly surroundings: string;
  /** Where an input is put that shows a fault. */
  readonly findingFile: string;
}

/** What the process tells at its end. */
export interface ChildResult {
  readonly executed: number;
  readonly kept: number;
  /** Places of the code in the target's files, and how many of them any input came to. */
  readonly reached: number;
  readonly places: number;
  readonly finding?: { readonly problem: Finding["problem"]; readonly text: string };
}

const minimiseMs = 5000;

const task = JSON.parse(process.argv[2] ?? "") as ChildTask;
const canary = new Canary(task.surroundings);
process.chdir(canary.inside);
const loaded = instrumentLoaded();
const target = await loadTarget(task.target);
countAllocations();
using current = new CurrentInput(task.currentFile);
const executor = new Executor(target, current, canary);
const words = target.parses.flatMap((file) => loaded.get(file)?.words ?? []);
const search = new Search(target, executor, { ...task, words });
const finding =
  task.only === undefined ? await search.run() : await executor.alone(readFileSync(task.only));
if (finding !== undefined) await keep(finding);
executor[Symbol.dispose]();
const { reached, places } = coverage(target.parses, loaded);
const result: ChildResult = {
  executed: current.begun,
  kept: search.kept,
  reached,
  places,
  ...(finding && { finding: { problem: finding.problem, text: textOf(finding.error) } }),
};
process.send?.(result, () => process.disconnect?.());

/** Writes the input down, and then a shorter one that fails in the same way, if there is any. */
async function keep({ problem, error, input }: Finding): Promise<void> {
  if (task.only !== undefined) return;
  writeFileSync(task.findingFile, input);
  if (problem === "slow") return;
  const wanted = `${problem} ${signature(error)}`;
  const shorter = await minimise(
    input,
    async (candidate) => {
      const found = await executor.alone(candidate);
      return found !== undefined && `${found.problem} ${signature(found.error)}` === wanted;
    },
    minimiseMs,
  );
  writeFileSync(task.findingFile, shorter);
}

/** What tells one fault from another: the message without its figures, and where it was thrown. */
function signature(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = /\n\s+at .*/.exec(error.stack ?? "")?.[0] ?? "";
  return `${error.name} ${error.message.split("\n")[0]?.replaceAll(/"[^"]*"|\d+/g, "") ?? ""} ${place}`;
}

function textOf(error: unknown): string {
  return inspect(error, { depth: 3, maxStringLength: 600, maxArrayLength: 20, breakLength: 110 });
}

function coverage(
  files: readonly string[],
  known: ReadonlyMap<string, LoadedFile>,
): { reached: number; places: number } {
  const all = files.map((file) => {
    const found = known.get(file);
    if (found === undefined) throw new Error(`target ${task.target} does not load ${file}`);
    return found;
  });
  return {
    reached: all.reduce((sum, { firstPlace, places: count }) => {
      return sum + search.reached(firstPlace, firstPlace + count);
    }, 0),
    places: all.reduce((sum, { places: count }) => sum + count, 0),
  };
}
