// SPDX-License-Identifier: Apache-2.0
import type { DestinationStream } from "pino";
import { PinoPretty } from "pino-pretty";

/** Lines for people, on top of pino's; in colours for a terminal. */
export function pretty(destination: DestinationStream, colorize: boolean): DestinationStream {
  return PinoPretty({
    colorize,
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
    ignore: "pid,hostname",
    destination: destination as NodeJS.WritableStream,
    sync: true,
  });
}
