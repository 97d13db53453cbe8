// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { until } from "./until.ts";

/** A process of which the first thread ends alone when that is asked for; others of it live on. Disposing kills it. */
export interface HeadlessProcess extends Disposable {
  readonly pid: number;
  loseHead(): Promise<void>;
  /** Settles when the whole process has ended. */
  readonly ended: Promise<void>;
}

/** The number of exit(2), which ends the thread that calls it. */
const exitCall: Readonly<Record<string, number>> = { x64: 60, arm64: 93 };

export function startHeadlessProcess(): HeadlessProcess {
  const end = `require("koffi").load("libc.so.6").func("long syscall(long, long)")(${exitCall[process.arch]}, 0)`;
  const script = `require("node:fs").readSync(0, Buffer.alloc(1)); ${end}`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "ignore", "ignore"] });
  const pid = child.pid ?? 0;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    pid,
    loseHead: async () => {
      child.stdin.end("x");
      await until("its first thread has ended", () =>
        / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")),
      );
    },
    ended,
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}
