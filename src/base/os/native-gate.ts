// SPDX-License-Identifier: Apache-2.0
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads";

/** The thread is in JavaScript, where it can be ended at any time. */
const outside = 0;
/** It is in native code that must not be interrupted. */
const inside = 1;
/** It is in such code, and the gate closes behind it. */
const leaving = 2;
/** It may be ended, and goes into no such code any more. */
const closed = 3;
const environmentKey = "berth.native-gate";

/**
 * Keeps the end of a thread away from native code that does not survive it: an addon that is being loaded answers a
 * thread's end by ending the whole process. One gate stands for one thread; the thread that starts it holds the other end.
 */
export class NativeGate {
  readonly #cell: Int32Array<SharedArrayBuffer>;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(4)) {
    this.#cell = new Int32Array(memory);
  }

  /** Makes this the gate of the thread that `start` starts. */
  handTo<T>(start: () => T): T {
    setEnvironmentData(environmentKey, this.#cell.buffer);
    try {
      return start();
    } finally {
      setEnvironmentData(environmentKey, undefined);
    }
  }

  /** For the thread itself: runs what must not be interrupted. Behind a closed gate it stands still until it is ended. */
  pass<T>(work: () => T): T {
    if (Atomics.compareExchange(this.#cell, 0, outside, inside) !== outside) this.#standStill();
    try {
      return work();
    } finally {
      if (Atomics.compareExchange(this.#cell, 0, inside, outside) === leaving) {
        Atomics.store(this.#cell, 0, closed);
        Atomics.notify(this.#cell, 0);
      }
    }
  }

  /** Settles when the thread may be ended. */
  async close(): Promise<void> {
    if (this.#isClosing()) await Atomics.waitAsync(this.#cell, 0, leaving).value;
  }

  /** The same without a turn of the event loop, for at most so many milliseconds. */
  closeNow(ms: number): void {
    if (this.#isClosing()) Atomics.wait(this.#cell, 0, leaving, ms);
  }

  /** Closes the gate, or has the thread close it behind itself. */
  #isClosing(): boolean {
    for (;;) {
      const was = Atomics.compareExchange(this.#cell, 0, outside, closed);
      if (was === outside || was === closed) return false;
      if (was === leaving) return true;
      if (Atomics.compareExchange(this.#cell, 0, inside, leaving) === inside) return true;
      // It has just left, or has just come in again.
    }
  }

  #standStill(): void {
    while (Atomics.load(this.#cell, 0) === closed) Atomics.wait(this.#cell, 0, closed);
  }
}

let depth = 0;
let own: NativeGate | undefined;

/** Runs native code during which this thread must not be ended. The main thread has no gate: nobody ends it. */
export function uninterrupted<T>(work: () => T): T {
  own ??= ownGate();
  if (own === undefined || depth > 0) return work();
  depth += 1;
  try {
    return own.pass(work);
  } finally {
    depth -= 1;
  }
}

function ownGate(): NativeGate | undefined {
  if (isMainThread) return undefined;
  const memory = getEnvironmentData(environmentKey);
  return memory instanceof SharedArrayBuffer ? new NativeGate(memory) : undefined;
}
