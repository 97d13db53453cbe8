// SPDX-License-Identifier: Apache-2.0
import { promisify } from "node:util";
import koffi, { type LibraryHandle } from "koffi";

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
    bound ??= load().func(prototype) as CFunction;
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
    bound ??= promisify(load().func(prototype).async) as typeof bound & {};
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
