// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from "node:util";

export const usage = `npm run soak -- [options]

Pods come and go in several lanes at once, then under kill -9 of the daemon at random moments. At quiet
points, when all pods are gone, everything that a runtime can leave is counted: it must be what it was at the
first one. Each lane checks what a kubelet would. The last line is "N passed, N failed, N skipped".

  --cycles N       pod cycles without kills (default 10000)
  --kills N        kills of the daemon, with as many cycles as go on meanwhile (default 1000)
  --lanes N        lanes at once (default 4)
  --seed N         repeats the lanes' choices (default: the time); when things happen is chance still
  --points N       quiet points of each of the two parts (default 40, at least 25 cycles or 10 kills apart)
  --minutes N      ends it earlier, with what was done by then
  --json FILE      all figures, as JSON
  -h, --help       this page

Needs root, and what \`npm test\` needs. Ctrl-C ends it, and removes what it made.`;

export interface SoakOptions {
  readonly cycles: number;
  readonly kills: number;
  readonly lanes: number;
  readonly seed: number;
  readonly points: number;
  /** Infinity for no end. */
  readonly minutes: number;
  /** Where the figures go; undefined for nowhere. */
  readonly json: string | undefined;
}

/** Throws with one line on a wrong argument; "help" when that is asked for. */
export function parseOptions(args: readonly string[]): SoakOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cycles: { type: "string", default: "10000" },
      kills: { type: "string", default: "1000" },
      lanes: { type: "string", default: "4" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      points: { type: "string", default: "40" },
      minutes: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  return {
    cycles: whole("cycles", values.cycles, 0),
    kills: whole("kills", values.kills, 0),
    lanes: whole("lanes", values.lanes, 1),
    seed: whole("seed", values.seed, 0),
    points: whole("points", values.points, 2),
    minutes: values.minutes === undefined ? Infinity : whole("minutes", values.minutes, 1),
    json: values.json,
  };
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < least) {
    throw new Error(`--${name} must be a whole number of at least ${least}, not "${text}"`);
  }
  return value;
}
