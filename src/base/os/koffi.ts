// SPDX-License-Identifier: Apache-2.0
import { createRequire } from "node:module";
import type * as KoffiModule from "koffi";
import { uninterrupted } from "./native-gate.ts";

export type Koffi = typeof KoffiModule;

const require = createRequire(import.meta.url);
let loaded: Koffi | undefined;

/**
 * Loads koffi, on first use, and asks it for something that lasts: a library, a function. A thread that is ended
 * meanwhile would take the process with it. Calls of functions that are bound need no such care.
 */
export function withKoffi<T>(ask: (koffi: Koffi) => T): T {
  return uninterrupted(() => {
    loaded ??= require("koffi") as Koffi;
    return ask(loaded);
  });
}
