// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { run } from "../../src/base/process.ts";

const bin = path.resolve(import.meta.dirname, "../../bin");

export function title(text: string): void {
  process.stdout.write(`--- ${text}\n\n`);
}

export function say(text: string): void {
  process.stdout.write(`${text.trimEnd().replace(/^(?=.)/gm, "  ")}\n`);
}

export function blank(): void {
  process.stdout.write("\n");
}

/** Does one step, and tells how long it took. */
export async function timed<T>(
  name: string,
  step: () => Promise<T>,
  result: (value: T) => string = () => "",
): Promise<T> {
  const startedAt = performance.now();
  const value = await step();
  const took = `${Math.round(performance.now() - startedAt)} ms`;
  say(`${name.padEnd(18)} ${took.padStart(8)}   ${result(value)}`);
  return value;
}

/** Shows a command as it would be typed, and what it printed. */
export async function command(program: string, args: readonly string[]): Promise<void> {
  const file = program === "berth" ? path.join(bin, "berth") : program;
  say(`$ ${[program, ...args].map(quoted).join(" ")}`);
  const { stdout, exitCode } = await run(file, args, {
    anyExitCode: true,
    mergeStderr: true,
    timeoutMs: 60_000,
  });
  say(stdout.toString());
  blank();
  if (exitCode !== 0) throw new Error(`${program} ${args.join(" ")} exited with ${exitCode}`);
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
