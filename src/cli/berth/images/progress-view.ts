// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from "commander";
import { startInterval } from "../../../base/timers.ts";
import type { BerthTransferStep } from "../../../gen/berth.gen.ts";
import type { CliIo } from "../../cli-io.ts";
import { printable } from "../../printable.ts";
import { processTerminal, type Terminal } from "../../terminal.ts";
import { jsonLineOf } from "../json.ts";
import { barLines } from "./transfer-bars.ts";
import { TransferRates } from "./transfer-rates.ts";

export interface ProgressFlags {
  readonly progress: "auto" | "bars" | "json" | "none";
}

/** Shows how far a pull or a push is, on standard error. Disposing takes bars away. */
export interface ProgressView extends Disposable {
  update(steps: readonly BerthTransferStep[]): void;
}

export function withProgressFlag(command: Command): Command {
  return command.addOption(
    new Option(
      "--progress <how>",
      "how far it is, on standard error: bars, one JSON object a line, or not at all; auto: bars on a terminal, else JSON",
    )
      .choices(["auto", "bars", "json", "none"])
      .default("auto"),
  );
}

export function openProgress({ progress }: ProgressFlags, io: CliIo): ProgressView {
  if (progress === "none") return { update: () => {}, [Symbol.dispose]: () => {} };
  const terminal = (io.terminal ?? processTerminal)();
  const canDraw = terminal.screen?.() !== undefined && io.env["TERM"] !== "dumb";
  if (progress === "json" || (progress === "auto" && !canDraw)) return new JsonLines(io);
  return new Bars(io, terminal);
}

/** Between lines of one part that only has more bytes. */
const lineMs = 1000;

class JsonLines implements ProgressView {
  readonly #io: CliIo;
  readonly #rates = new TransferRates();
  readonly #told = new Map<string, { readonly state: string; readonly at: number }>();

  constructor(io: CliIo) {
    this.#io = io;
  }

  update(steps: readonly BerthTransferStep[]): void {
    const now = performance.now();
    this.#rates.update(steps, now);
    const changed = new Set(steps.map(({ digest }) => digest));
    for (const step of this.#rates.list(now)) {
      if (!changed.has(step.digest)) continue;
      const told = this.#told.get(step.digest);
      if (told?.state === step.state && now - told.at < lineMs) continue;
      this.#told.set(step.digest, { state: step.state, at: now });
      this.#io.error(printable(jsonLineOf(step)));
    }
  }

  [Symbol.dispose](): void {}
}

const frameMs = 100;
/** Of a terminal that does not say. */
const usual = { width: 80, height: 24 };

class Bars implements ProgressView {
  readonly #io: CliIo;
  readonly #terminal: Terminal;
  readonly #rates = new TransferRates();
  readonly #frames: Disposable;
  /** Lengths of the lines that are on the screen. */
  #drawn: readonly number[] = [];
  #isEmpty = true;

  constructor(io: CliIo, terminal: Terminal) {
    this.#io = io;
    this.#terminal = terminal;
    this.#frames = startInterval(() => this.#draw(), frameMs);
  }

  update(steps: readonly BerthTransferStep[]): void {
    this.#isEmpty &&= steps.length === 0;
    this.#rates.update(steps, performance.now());
  }

  [Symbol.dispose](): void {
    this.#frames[Symbol.dispose]();
    this.#draw();
  }

  #draw(): void {
    if (this.#isEmpty) return;
    const { env } = this.#io;
    const screen = this.#terminal.screen?.();
    // One that nobody has given a size has 0 by 0.
    const size = { width: screen?.width || usual.width, height: screen?.height || usual.height };
    const lines = barLines(this.#rates.list(performance.now()), {
      ...size,
      isUnicode: /utf-?8/i.test(env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || ""),
      hasColor: (env["NO_COLOR"] ?? "") === "",
    });
    // Lines that were longer than the terminal is now have become several.
    const up = this.#drawn.reduce(
      (rows, length) => rows + Math.max(1, Math.ceil(length / size.width)),
      0,
    );
    const back = up > 0 ? `\u001b[${up}A` : "";
    this.#io.error(`${back}\r\u001b[J${lines.join("\n")}\n`);
    // oxlint-disable-next-line no-control-regex -- colours take no columns
    this.#drawn = lines.map((line) => line.replaceAll(/\u001b\[\d+m/g, "").length);
  }
}
