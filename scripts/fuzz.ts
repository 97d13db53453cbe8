// SPDX-License-Identifier: Apache-2.0
// `npm run fuzz`: gives each parser of foreign bytes inputs that are made to break it, and says what did. Ends with
// code 1 when something was found. The last line is `N passed, N failed, N skipped`, a target counting as one.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { type FuzzOptions, fuzzOne, type Outcome, replay } from "../test/fuzz/engine/fuzz-one.ts";
import { targetNames } from "../test/fuzz/engine/targets.ts";

const help = `usage: npm run fuzz -- [NAME…] [option…]

Gives each parser of foreign bytes (all, or those named) inputs that are made to break it. They are changes of
those in test/fuzz/corpus/NAME/, and of all that came to a new place in the code since. A target fails when it
throws what no parser may throw, does not hold what test/fuzz/targets/NAME.ts says of it, takes over a second of
processor time for one input, takes too much memory, or writes outside its folder.

  --runs N         inputs for each target; 1,000,000 when neither this nor --seconds is given
  --seconds S      at most so long for each target
  --jobs J         targets at a time; as many as there are processors when left out
  --seed N         the same inputs as another run, which told its seed
  --input FILE     runs the one input of the one target, and says what it does
  --list           the targets' names
  -h, --help       this

What was found stays in build/fuzz/, an input a file.

targets: ${targetNames().join(", ")}
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string" },
    seconds: { type: "string" },
    jobs: { type: "string" },
    seed: { type: "string" },
    input: { type: "string" },
    list: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  },
});

const names = positionals.length > 0 ? positionals : targetNames();
const unknown = names.filter((name) => !targetNames().includes(name));
if (values.help === true) process.stdout.write(help);
else if (values.list === true) process.stdout.write(`${targetNames().join("\n")}\n`);
else if (unknown.length > 0)
  usage(`no target ${unknown.join(", ")}: there are ${targetNames().join(", ")}`);
else if (values.input !== undefined) await replayOne(values.input);
else await fuzzAll();

async function replayOne(file: string): Promise<void> {
  const [name = "", ...others] = names;
  if (others.length > 0) return usage("--input goes with the name of one target");
  const said = await replay(name, file);
  process.stdout.write(said === undefined ? `${name}: all holds\n` : `${name} ${said}\n`);
  process.exitCode = said === undefined ? 0 : 1;
}

async function fuzzAll(): Promise<void> {
  const usualRuns = values.seconds === undefined ? 1_000_000 : Number.POSITIVE_INFINITY;
  const runs = number("runs", usualRuns);
  const seconds = number("seconds", Number.POSITIVE_INFINITY);
  const seed = number("seed", Math.floor(Math.random() * 2 ** 31));
  const jobs = number("jobs", availableParallelism());
  if ([runs, seconds, seed, jobs].some(Number.isNaN)) return;
  // JSON has no infinity.
  const most = Number.MAX_SAFE_INTEGER;
  const options: FuzzOptions = {
    seed,
    runs: Math.min(runs, most),
    seconds: Math.min(seconds, most),
  };
  process.stdout.write(`seed ${seed}\n`);
  const waiting = [...names];
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const outcome = await fuzzOne(name, options);
      outcomes.push(outcome);
      process.stdout.write(describe(outcome));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const failed = outcomes.filter(({ fault }) => fault !== undefined).length;
  process.stdout.write(`${outcomes.length - failed} passed, ${failed} failed, 0 skipped\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function describe({ name, executed, seconds, search, fault }: Outcome): string {
  const rate = Math.round(executed / Math.max(seconds, 0.001)).toLocaleString("en");
  const facts = [
    `${executed.toLocaleString("en")} inputs in ${seconds.toFixed(1)} s (${rate}/s)`,
    ...(search
      ? [`${search.kept} kept`, `${search.reached} of ${search.places} places of its code reached`]
      : []),
  ];
  const head = `${fault ? "FAIL" : "ok  "} ${name.padEnd(18)} ${facts.join(", ")}\n`;
  if (!fault) return head;
  const text = fault.text.split("\n").slice(0, 40).join("\n     ");
  const alone = fault.repeats ? "" : " (alone, it did not fail again)";
  return [
    `${head}     ${fault.problem}: ${text}`,
    `     input: ${fault.file}${alone}`,
    `     again: npm run fuzz -- ${name} --input ${fault.file}\n`,
  ].join("\n");
}

function number(option: "runs" | "seconds" | "jobs" | "seed", usual: number): number {
  const text = values[option];
  if (text === undefined) return usual;
  if (/^\d+$/.test(text) && (Number(text) > 0 || option === "seed")) return Number(text);
  usage(`--${option} is a whole number`);
  return Number.NaN;
}

function usage(problem: string): void {
  process.stderr.write(`fuzz: ${problem} (try --help)\n`);
  process.exitCode = 2;
}
