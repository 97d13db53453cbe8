// SPDX-License-Identifier: Apache-2.0
import type { DestinationStream, Logger as Pino } from "pino";
import { pino, stdSerializers } from "pino";
import type { Logger } from "../base/logger.ts";
import type { LogConfig } from "../config/config.ts";
import { standardError } from "./standard-error.ts";

/** Fields that may hold secrets or a user's data, at every depth that is logged. */
const secrets = [
  "env",
  "envs",
  "auth",
  "password",
  "identityToken",
  "registryToken",
  "annotations",
];

/** Of one text in a line: the errors of refused calls quote what a client sent, which may be megabytes. */
const maxTextLength = 8 * 1024;

export interface DaemonLog {
  readonly log: Logger;
  /** Also for children that exist already. */
  setLevel(this: void, level: LogConfig["level"]): void;
}

export interface LogTarget {
  /** Where lines go; standard error when absent. */
  readonly stream?: DestinationStream;
  /** Whether that is a terminal, for format "auto". */
  readonly isTerminal?: boolean;
}

/**
 * The daemon's log: pino, one JSON object a line, or readable lines on a terminal.
 */
export async function createLog(config: LogConfig, target: LogTarget = {}): Promise<DaemonLog> {
  const isTerminal = target.isTerminal ?? process.stderr.isTTY;
  const isPretty = config.format === "pretty" || (config.format === "auto" && isTerminal);
  const raw = target.stream ?? standardError();
  // Under systemd lines are JSON, and what makes others readable is not loaded.
  const stream = isPretty ? (await import("./pretty.ts")).pretty(raw, isTerminal) : raw;
  const threshold = new Threshold(config.level);
  const root = pino(
    {
      level: "trace",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError },
      redact: {
        paths: secrets.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
        censor: "[redacted]",
      },
    },
    stream,
  );
  return {
    log: threshold.wrap(root),
    setLevel: (level) => threshold.set(level),
  };
}

/** The level that one log and all its children share, so that it can change while they live. */
class Threshold {
  #value: number;

  constructor(level: LogConfig["level"]) {
    this.#value = pino.levels.values[level] ?? 0;
  }

  set(level: LogConfig["level"]): void {
    this.#value = pino.levels.values[level] ?? 0;
  }

  wrap(target: Pino): Logger {
    return {
      trace: (fields, text) => void (this.#value <= 10 && target.trace(short(fields), text)),
      debug: (fields, text) => void (this.#value <= 20 && target.debug(short(fields), text)),
      info: (fields, text) => void (this.#value <= 30 && target.info(short(fields), text)),
      warn: (fields, text) => void (this.#value <= 40 && target.warn(short(fields), text)),
      error: (fields, text) => void (this.#value <= 50 && target.error(short(fields), text)),
      child: (bindings) => this.wrap(target.child(bindings)),
    };
  }
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return shortened(error);
  return shortened(stdSerializers.errWithCause(error), 4);
}

function short<T extends object>(fields: T): T {
  const isLong = Object.values(fields).some(
    (value) => typeof value === "string" && value.length > maxTextLength,
  );
  return isLong ? (shortened(fields, 1) as T) : fields;
}

/** Cuts long texts, also those of nested values, up to a certain depth. */
function shortened(value: unknown, depth = 0): unknown {
  if (typeof value === "string") {
    if (value.length <= maxTextLength) return value;
    return `${value.slice(0, maxTextLength)}… (${value.length} characters)`;
  }
  if (depth === 0 || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.slice(0, 16).map((each) => shortened(each, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, shortened(each, depth - 1)]),
  );
}
