// SPDX-License-Identifier: Apache-2.0
import { createRequire } from "node:module";
import type * as KoffiModule from "koffi";
import { uninterrupted } from "./native-gate.ts";

export type Koffi = typeof KoffiModule;

const require = createRequire(import.meta.url);
const ourNode = /^(?:x64|arm64)$/;
let loaded: Koffi | undefined;

/**
 * Loads koffi, on first use, and asks it for something that lasts: a library, a function. A thread that is ended
 * meanwhile would take the process with it. Calls of functions that are bound need no such care.
 */
export function withKoffi<T>(ask: (koffi: Koffi) => T): T {
  return uninterrupted(() => {
    loaded ??= nativePart() ?? (require("koffi") as Koffi);
    return ask(loaded);
  });
}

/**
 * koffi without its JavaScript, which adds deprecated names only, and loads more of Node than it needs: 9 ms against 1.4, in
 * each thread and each child. Undefined where the part for glibc cannot be loaded; koffi itself knows of others.
 */
function nativePart(): Koffi | undefined {
  const { arch } = process;
  if (!ourNode.test(arch)) return undefined;
  try {
    return require(`@koromix/koffi-linux-${arch}/linux_${arch}/koffi.node`) as Koffi;
  } catch {
    return undefined;
  }
}
