// SPDX-License-Identifier: Apache-2.0
import { drainPipe, maxPipeBytes, pipeBytes } from "../../base/os/drain-pipe.ts";
import { widenFifo } from "../../base/os/fifo.ts";
import { startTimer, type Timer } from "../../base/timers.ts";

const periodMs = 10;
/** What is thrown away in one go, of all FIFOs together: it takes a millisecond or two. */
const sliceBytes = 8 * maxPipeBytes;

/** A FIFO whose bytes nobody wants any more. */
export interface Discarded {
  readonly fd: number;
  /** The stream is at its end. Called once. */
  readonly onEnd: () => void;
}

const discarded = new Set<Discarded>();
const buffer = Buffer.allocUnsafeSlow(pipeBytes);
let timer: Timer | undefined;

/**
 * Reads and drops what still comes until the stream ends, so that its writer can end too. The poller would
 * read `cat /dev/zero` with all that this thread can do; this looks now and then, at a wider FIFO, and
 * takes a slice, of each FIFO in its turn.
 */
export function discard(stream: Discarded): void {
  widenFifo(stream.fd, maxPipeBytes);
  discarded.add(stream);
  timer ??= startTimer(takeSlice, periodMs);
}

/** Reads no more of it; the descriptor may be closed. */
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
