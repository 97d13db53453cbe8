// SPDX-License-Identifier: Apache-2.0
import type { DestinationStream, Logger as Pino } from "pino";
import { pino, stdSerializers } from "pino";
import { PinoPretty } from "pino-pretty";
import type { Logger } from "../base/logger.ts";
import type { LogConfig } from "../config/config.ts";

/** Fields that may hold secrets or a user's data, at any depth that we log. */
const secrets = [
  "env",
  "envs",
  "auth",
  "password",
  "identityToken",
  "registryToken",
  "annotations",
];

export interface DaemonLog {
  readonly log: Logger;
  /** Holds for every child that exists, too. */
  setLevel(this: void, level: LogConfig["level"]): void;
}

export interface LogTarget {
  /** Where lines go; standard error when absent. */
  readonly stream?: DestinationStream;
  /** Whether that is a terminal, for format "auto". */
  readonly isTerminal?: boolean;
}

/**
 * The daemon's log: pino, one JSON object a line, or readable lines on a terminal. Written
 * synchronously, so that nothing is lost when the process ends hard.
 */
export function createLog(config: LogConfig, target: LogTarget = {}): DaemonLog {
  const isTerminal = target.isTerminal ?? process.stderr.isTTY;
  const isPretty = config.format === "pretty" || (config.format === "auto" && isTerminal);
  const raw = target.stream ?? pino.destination({ dest: 2, sync: true });
  const stream = isPretty ? pretty(raw, isTerminal) : raw;
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
      trace: (fields, message) => void (this.#value <= 10 && target.trace(fields, message)),
      debug: (fields, message) => void (this.#value <= 20 && target.debug(fields, message)),
      info: (fields, message) => void (this.#value <= 30 && target.info(fields, message)),
      warn: (fields, message) => void (this.#value <= 40 && target.warn(fields, message)),
      error: (fields, message) => void (this.#value <= 50 && target.error(fields, message)),
      child: (bindings) => this.wrap(target.child(bindings)),
    };
  }
}

function pretty(destination: DestinationStream, colorize: boolean): DestinationStream {
  return PinoPretty({
    colorize,
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
    ignore: "pid,hostname",
    destination: destination as NodeJS.WritableStream,
    sync: true,
  });
}

function serializeError(error: unknown): unknown {
  return error instanceof Error ? stdSerializers.errWithCause(error) : error;
}
