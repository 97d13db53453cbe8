// SPDX-License-Identifier: Apache-2.0
import { drainPipe, maxPipeBytes, pipeBytes } from "../../base/os/drain-pipe.ts";
import { widenFifo } from "../../base/os/fifo.ts";
import { startTimer, type Timer } from "../../base/timers.ts";

const periodMs = 10;
/** How much is discarded in one go, of all FIFOs together: it takes a millisecond or two. */
const sliceBytes = 8 * maxPipeBytes;

/** A FIFO whose bytes are no longer wanted. */
export interface Discarded {
  readonly fd: number;
  /** The stream is at its end. Called once. */
  readonly onEnd: () => void;
}

const discarded = new Set<Discarded>();
const buffer = Buffer.allocUnsafeSlow(pipeBytes);
let timer: Timer | undefined;

/**
 * Reads and drops what still comes until the stream ends, so that its writer can end too. The poller would use all of
 * this thread's time for a `cat /dev/zero`. So FIFOs are made larger, and read from time to time, a slice of each in
 * turn.
 */
export function discard(stream: Discarded): void {
  widenFifo(stream.fd, maxPipeBytes);
  discarded.add(stream);
  timer ??= startTimer(takeSlice, periodMs);
}

/** Stops reading it; the descriptor may be closed. */
export function stopDiscarding(stream: Discarded): void {
  discarded.delete(stream);
}

function takeSlice(): void {
  timer = undefined;
  let room = sliceBytes;
  for (let turns = discarded.size; turns > 0; turns -= 1) {
    const [stream] = discarded;
    if (stream === undefined || room <= 0) break;
    const ended = drainPipe(stream.fd, buffer, (bytes) => {
      room -= bytes.length;
    });
    discarded.delete(stream);
    if (ended) stream.onEnd();
    else discarded.add(stream); // behind the others
  }
  if (discarded.size > 0) timer = startTimer(takeSlice, periodMs);
}
