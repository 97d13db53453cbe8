// SPDX-License-Identifier: Apache-2.0
import { promisify } from "node:util";
import type { LibraryHandle } from "koffi";
import { type Koffi, withKoffi } from "./koffi.ts";

/** One C function, as koffi binds it: positional numbers, strings, buffers; an int comes back. */
export type CFunction = (...args: readonly unknown[]) => number;

let library: LibraryHandle | undefined;

/**
 * Binds a function of the C library by its prototype, on first use: a process that never mounts does not pay for
 * mount(2). `libc.so.6` is glibc; on musl the same names are in `libc.so`.
 */
export function libc(prototype: string): CFunction {
  let bound: CFunction | undefined;
  return (...args) => {
    bound ??= bindC(prototype) as CFunction;
    return bound(...args);
  };
}

/**
 * The same for a call that may wait: a thread of the pool makes it. Its buffers must not change until the promise
 * settles.
 */
export function libcAside(prototype: string): (...args: readonly unknown[]) => Promise<number> {
  let bound: ((...args: readonly unknown[]) => Promise<number>) | undefined;
  return (...args) => {
    bound ??= promisify(bindC(prototype).async) as typeof bound & {};
    return bound(...args);
  };
}

/** Binds a function at once, for the few callers that need more than a plain call. */
export function bindC(prototype: string): ReturnType<LibraryHandle["func"]> {
  return withKoffi((koffi) => {
    library ??= openLibrary(koffi);
    return library.func(prototype);
  });
}

function openLibrary(koffi: Koffi): LibraryHandle {
  try {
    return koffi.load("libc.so.6");
  } catch {
    return koffi.load("libc.so");
  }
}
