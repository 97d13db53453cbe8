// SPDX-License-Identifier: Apache-2.0
// A test file whose process does not end. node:test limits the time of single tests and of nothing else: a handle that is
// still open, a blocked thread, a hook that waits, or a grandchild that holds the output keep a run waiting for ever.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, type ProcessInfo, processes, waitsOf } from "../../test/support/processes.ts";

/** Tells a process, and all that it starts, which test file they are of. */
export const fileVariable = "BERTH_TEST_FILE";

/** What Node has to be started with, for `endOverdue` to tell what keeps it. */
export function reportFlags(folder: string): readonly string[] {
  return ["--report-on-signal", "--report-exclude-env", `--report-directory=${folder}`];
}

const reportMs = 5000;
/** For what the test has started, which its own process removes (test/support/last-resort.ts). */
const endMs = 30_000;

/** Ends the process of a test file and what is left of it; answers what kept it, for people. `folder` is that of `reportFlags`. */
export async function endOverdue(file: string, folder: string): Promise<string> {
  const own = processesOf(file);
  const pids = new Set(own.map(({ pid }) => pid));
  const waits = waitsOf(({ pid }) => pids.has(pid));
  const main = own.find(({ ppid }) => ppid === process.pid);
  const report =
    main === undefined
      ? "Its process has ended; what it started holds its output:"
      : await endMain(main.pid, folder);
  // Else this process would wait for them in its turn.
  for (const { pid } of processesOf(file)) kill(pid, "SIGKILL");
  return `${report}\n${waits}`;
}

async function endMain(pid: number, folder: string): Promise<string> {
  kill(pid, "SIGUSR2");
  const report = await reportOf(pid, folder);
  kill(pid, "SIGTERM");
  const end = performance.now() + endMs;
  while (isAlive(pid) && performance.now() < end) await sleep(50);
  return report;
}

function processesOf(file: string): ProcessInfo[] {
  return processes(({ pid }) => isOf(pid, file));
}

function isOf(pid: number, file: string): boolean {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    return variables.includes(`${fileVariable}=${file}`);
  } catch {
    return false; // it has ended, or is the kernel's
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

interface Report {
  readonly javascriptStack?: { readonly message?: string; readonly stack?: readonly string[] };
  readonly libuv?: readonly Readonly<Record<string, unknown>>[];
}

async function reportOf(pid: number, folder: string): Promise<string> {
  const end = performance.now() + reportMs;
  while (performance.now() < end) {
    await sleep(100);
    const name = readdirSync(folder).find((file) => file.split(".").includes(String(pid)));
    if (name === undefined) continue;
    try {
      return describeReport(JSON.parse(readFileSync(path.join(folder, name), "utf8")) as Report);
    } catch {
      // It is being written.
    }
  }
  return "Its main thread is blocked in a call: it gave no report.";
}

function describeReport({ javascriptStack, libuv = [] }: Report): string {
  const keeping = libuv.filter(
    (handle) => handle["is_active"] === true && handle["is_referenced"] === true,
  );
  return [
    `Its JavaScript: ${javascriptStack?.message ?? "idle"}`,
    ...(javascriptStack?.stack ?? []).map((line) => `  ${line}`),
    "What keeps its loop:",
    ...keeping.map((handle) => `  ${JSON.stringify(handle)}`),
  ].join("\n");
}
