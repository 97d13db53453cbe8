// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { until } from "../until.ts";

export interface Ended {
  /** -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that a test talks to while it runs. Disposing kills it. */
export class LiveProgram implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];

  constructor(program: string, args: readonly string[]) {
    this.child = spawn(program, args, { stdio: "pipe" });
    this.child.stdin?.on("error", () => {});
    this.child.stdout?.on("data", (bytes: Buffer) => this.#stdout.push(bytes));
    this.child.stderr?.on("data", (bytes: Buffer) => this.#stderr.push(bytes));
    this.ended = once(this.child, "close").then(([code]) => ({
      code: (code as number | null) ?? -1,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString();
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  write(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Waits until its standard output, or error output, matches. */
  async says(pattern: RegExp): Promise<void> {
    await until(`output matches ${pattern}`, () => pattern.test(this.stdout + this.stderr));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.ended;
  }
}

export interface Passage {
  readonly code: number;
  readonly sentSum: string;
  readonly receivedSum: string;
  readonly receivedBytes: number;
}

/** Sends `bytes` of noise through a program's stdin and takes what comes out, with their checksums. */
export async function passThrough(
  program: string,
  args: readonly string[],
  bytes: number,
): Promise<Passage> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const sent = createHash("sha256");
  const received = createHash("sha256");
  let receivedBytes = 0;
  child.stdout.on("data", (piece: Buffer) => {
    received.update(piece);
    receivedBytes += piece.length;
  });
  const closed = once(child, "close");
  const noise = Buffer.alloc(1 << 20);
  for (let left = bytes; left > 0; left -= noise.length) {
    for (let at = 0; at < noise.length; at += 4)
      noise.writeInt32LE((left + at * 2654435761) | 0, at);
    const piece = Buffer.from(noise.subarray(0, Math.min(left, noise.length)));
    sent.update(piece);
    if (!child.stdin.write(piece)) await once(child.stdin, "drain");
  }
  child.stdin.end();
  const [code] = (await closed) as [number | null];
  return {
    code: code ?? -1,
    sentSum: sent.digest("hex"),
    receivedSum: received.digest("hex"),
    receivedBytes,
  };
}
