// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { type ProcessInfo, processInfo, waitsOf } from "./processes.ts";

export interface RunResult {
  /** Exit code; 128 + n when signal n ended it is not made up here: -1 then. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
}

/** Runs a program to its end, bounded; a program that overstays is killed and answers code -1. */
export async function run(
  program: string,
  args: readonly string[],
  { timeoutMs = 120_000, env, cwd, input }: RunOptions = {},
): Promise<RunResult> {
  const child = spawn(program, args, {
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
  const timer = setTimeout(() => {
    stderr.push(Buffer.from(overstayed(timeoutMs)));
    child.kill("SIGKILL");
    // What it has started may hold them open.
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, timeoutMs);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (exit) => resolve(exit ?? -1));
    });
    return {
      code,
      stdout: Buffer.concat(stdout).toString(),
      stderr: Buffer.concat(stderr).toString(),
    };
  } finally {
    clearTimeout(timer);
  }
}

/** What the machine was doing when a program did not end: who of its own waits for what. */
function overstayed(timeoutMs: number): string {
  const whose = ({ pid, state, argv }: ProcessInfo): boolean =>
    state === "D" ||
    isBelow(pid, process.pid) ||
    /berth|containerd-shim|\b(runc|crun)\b/.test(argv[0] ?? "");
  return `\nkilled by the test after ${timeoutMs} ms, beside\n${waitsOf(whose)}`;
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let at = processInfo(pid); at !== undefined && at.ppid > 0; at = processInfo(at.ppid)) {
    if (at.ppid === ancestor) return true;
  }
  return false;
}

/** Like run, but a non-zero exit is an error that shows what the program said. */
export async function must(
  program: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<string> {
  const result = await run(program, args, options);
  if (result.code !== 0) {
    throw new Error(
      `${program} ${args.join(" ")}: exit ${result.code}\n${result.stderr}${result.stdout}`,
    );
  }
  return result.stdout;
}
