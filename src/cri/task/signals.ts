// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:os";
import type { Signal } from "../../gen/cri.gen.ts";

/** Real-time signals as glibc numbers them: the first two below are its own. */
const rtMin = 34;
const rtMax = 64;

/** Names that Node's table lacks or that are second names of one signal. */
const extra: Readonly<Record<string, number>> = {
  SIGCLD: constants.signals.SIGCHLD,
  SIGSTKFLT: 16,
  SIGRTMIN: rtMin,
  SIGRTMAX: rtMax,
};

/**
 * The kernel's number of a signal written as in an image or on a command line: `SIGTERM`, `term`,
 * `15`, `SIGRTMIN+3`, `RTMAX-1`. Undefined when it is none.
 */
export function signalNumber(text: string): number | undefined {
  const trimmed = text.trim().toUpperCase();
  if (/^\d+$/.test(trimmed)) {
    const number = Number(trimmed);
    return number >= 1 && number <= rtMax ? number : undefined;
  }
  const name = trimmed.startsWith("SIG") ? trimmed : `SIG${trimmed}`;
  const named = extra[name] ?? (constants.signals as Record<string, number | undefined>)[name];
  if (named !== undefined) return named;
  const offset = /^SIGRT(MIN\+|MAX-)(\d{1,2})$/.exec(name);
  if (!offset) return undefined;
  const number = offset[1] === "MIN+" ? rtMin + Number(offset[2]) : rtMax - Number(offset[2]);
  return number >= rtMin && number <= rtMax ? number : undefined;
}

/** CRI's enum counts by alphabet, so its names are what leads to the kernel's numbers. */
export function criSignalNumber(signal: Signal): number | undefined {
  if (signal === "SIGNAL_RUNTIME_DEFAULT") return undefined;
  const name = signal.slice("SIGNAL_".length);
  return signalNumber(name.replace("MINPLUS", "MIN+").replace("MAXMINUS", "MAX-"));
}

/** The CRI name of a signal written as in an image; SIGNAL_RUNTIME_DEFAULT when it has none. */
export function criSignalName(text: string): Signal {
  const number = signalNumber(text);
  if (number === undefined) return "SIGNAL_RUNTIME_DEFAULT";
  if (number >= rtMin) {
    // CRI names the lower half from RTMIN and the upper from RTMAX.
    if (number === rtMin) return "SIGNAL_SIGRTMIN";
    if (number === rtMax) return "SIGNAL_SIGRTMAX";
    if (number <= rtMin + 15) return `SIGNAL_SIGRTMINPLUS${number - rtMin}` as Signal;
    return `SIGNAL_SIGRTMAXMINUS${rtMax - number}` as Signal;
  }
  for (const [name, value] of Object.entries(constants.signals)) {
    if (value === number && !aliases.has(name)) return `SIGNAL_${name}` as Signal;
  }
  return "SIGNAL_RUNTIME_DEFAULT";
}

const aliases = new Set(["SIGIOT", "SIGPOLL", "SIGUNUSED", "SIGCLD"]);

/**
 * What stops a container: the request's stop signal before the image's before SIGTERM. An image
 * whose signal is none at all is stopped by SIGTERM too: a container must be stoppable.
 */
export function stopSignal(configured: Signal, ofImage: string): number {
  return criSignalNumber(configured) ?? signalNumber(ofImage) ?? constants.signals.SIGTERM;
}
