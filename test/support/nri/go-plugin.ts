// SPDX-License-Identifier: Apache-2.0
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { endChild } from "../registry.ts";

/** What test/e2e/tools/nri does at a call, in the order of these fields. */
export interface Act {
  /** For pods whose names begin so only. */
  readonly pod?: string;
  /** How often; always when left out. */
  readonly times?: number;
  readonly delayMs?: number;
  readonly hang?: boolean;
  readonly die?: boolean;
  readonly error?: string;
  /** A ContainerAdjustment in protobuf's JSON. */
  readonly adjust?: object;
  /** Each a ContainerUpdate in protobuf's JSON. */
  readonly updates?: readonly object[];
}
export type Acts = Readonly<Record<string, Act>>;

export interface GoPluginOptions {
  readonly program: string;
  readonly socket: string;
  /** "go" when left out; the index is "20". */
  readonly name?: string;
  readonly index?: string;
  /** Comma-separated, as the module spells them, or "all"; all but validation when left out. */
  readonly events?: string;
  readonly failRequest?: boolean;
  readonly on?: Acts;
}

/** A line of the program's output: a call that came, its messages in protobuf's JSON. */
export interface ToldCall {
  readonly call: string;
  readonly pod?: { readonly id: string; readonly name: string };
  readonly container?: { readonly id: string; readonly name: string };
  readonly [field: string]: unknown;
}

interface Answer {
  readonly answer: string;
  readonly done?: number;
  readonly failed?: number;
  readonly error?: string;
}

/** A plugin on the stub of NRI's Go module, as a process of its own. */
export class GoPlugin implements AsyncDisposable {
  /** In the order in which they came, Configure and Synchronize too. */
  readonly calls: ToldCall[] = [];
  /** Settles when the process has ended; answers what it wrote to stderr. */
  readonly ended: Promise<string>;
  readonly id: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #answers = new Map<string, (answer: Answer) => void>();
  readonly #waiting = new Set<() => void>();
  #commands = 0;

  constructor(options: GoPluginOptions) {
    const { program, socket, name = "go", index = "20", events, failRequest, on } = options;
    this.id = `${index}-${name}`;
    const args = ["-name", name, "-idx", index, "-socket", socket, "-on", JSON.stringify(on ?? {})];
    if (events !== undefined) args.push("-events", events);
    if (failRequest === true) args.push("-fail-request");
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    const said: string[] = [];
    createInterface(this.#child.stderr).on("line", (line) => said.push(line));
    createInterface(this.#child.stdout).on("line", (line) => this.#take(line));
    this.#child.stdin.on("error", () => {});
    this.ended = new Promise((resolve) => {
      this.#child.once("error", (error) => resolve(String(error)));
      this.#child.once("close", () => resolve(said.join("\n")));
    });
    void this.ended.then(() => this.#wake());
  }

  /** Starts it, and waits until it is synchronized. */
  static async start(options: GoPluginOptions): Promise<GoPlugin> {
    const plugin = new GoPlugin(options);
    try {
      await plugin.got(({ call }) => call === "Synchronize");
    } catch (error) {
      await plugin[Symbol.asyncDispose]();
      throw error;
    }
    return plugin;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The names of the calls about this pod, in order. */
  seen(podId: string): readonly string[] {
    return this.calls.filter(({ pod }) => pod?.id === podId).map(({ call }) => call);
  }

  /** Waits for the first call, of those that came and those that come, that is meant. */
  async got(isMeant: (call: ToldCall) => boolean): Promise<ToldCall> {
    for (;;) {
      const call = this.calls.find(isMeant);
      if (call !== undefined) return call;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`plugin ${this.id} ended: ${await this.ended}`);
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
      this.#waiting.delete(resolve);
    }
  }

  /** What it does from now on. */
  async on(acts: Acts): Promise<void> {
    await this.#command({ on: acts });
  }

  /** Asks for updates, `times` in each of `lanes` at once. */
  async update(
    update: readonly object[],
    often: { readonly times?: number; readonly lanes?: number } = {},
  ): Promise<Answer> {
    return this.#command({ update, ...often });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endChild(this.#child, 2000);
  }

  async #command(command: object): Promise<Answer> {
    this.#commands += 1;
    const name = String(this.#commands);
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#answers.set(name, resolve);
    this.#child.stdin.write(`${JSON.stringify({ ...command, name })}\n`);
    const gone = this.ended.then((said) => {
      throw new Error(`plugin ${this.id} ended: ${said}`);
    });
    return Promise.race([promise, gone]).finally(() => this.#answers.delete(name));
  }

  #take(line: string): void {
    const told = JSON.parse(line) as ToldCall | Answer;
    if ("answer" in told) return this.#answers.get(String(told.answer))?.(told as Answer);
    this.calls.push(told);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}
