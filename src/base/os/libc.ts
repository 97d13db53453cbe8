// SPDX-License-Identifier: Apache-2.0
import koffi, { type LibraryHandle } from "koffi";

/** One C function, as koffi binds it: positional numbers, strings, buffers; an int comes back. */
export type CFunction = (...args: readonly unknown[]) => number;

let library: LibraryHandle | undefined;

/**
 * Binds a function of the C library by its prototype, on first use: a process that never mounts never
 * pays for it. `libc.so.6` is glibc; on musl the same names are in `libc.so`.
 */
export function libc(prototype: string): CFunction {
  let bound: CFunction | undefined;
  return (...args) => {
    bound ??= load().func(prototype) as CFunction;
    return bound(...args);
  };
}

/** A loaded handle of the C library, for the few callers that need more than a plain call. */
export function load(): LibraryHandle {
  library ??= openLibrary();
  return library;
}

function openLibrary(): LibraryHandle {
  try {
    return koffi.load("libc.so.6");
  } catch {
    return koffi.load("libc.so");
  }
}
