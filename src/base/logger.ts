// SPDX-License-Identifier: Apache-2.0

type Fields = Readonly<Record<string, unknown>>;

/**
 * What domain code logs through; pino fits it (src/log). The message is a constant, data are fields:
 * `log.info({ sandbox, durationMs }, "sandbox started")`. An error goes into the field `err`.
 */
export interface Logger {
  trace(fields: Fields, message: string): void;
  debug(fields: Fields, message: string): void;
  info(fields: Fields, message: string): void;
  warn(fields: Fields, message: string): void;
  error(fields: Fields, message: string): void;
  child(bindings: Fields): Logger;
}

/** Drops everything: for tests and for tools. */
export const silentLogger: Logger = {
  trace: () => {},
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
