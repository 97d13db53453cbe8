// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";

const blank = /\r?\n\r?\n/;
const length = /^content-length:(.*)$/i;

/** A head in more pieces than this is left alone: each costs some microseconds of this thread. */
const mostPieces = 1024;
/** How much of a blank line can have come before the piece with its end. */
const partBytes = 3;

/**
 * Takes lengths that repeat the first one out of the next answer's headers, as other clients do. The parser refuses them
 * whatever they say; those that say another length are left for it to refuse. A head of more than `maxBytes` is left alone.
 */
export function withoutRepeatedLength(socket: Socket, maxBytes: number): void {
  let held: Buffer[] | undefined = [];
  let bytes = 0;
  let before = Buffer.alloc(0);
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  const release = (pieces: readonly Buffer[]): boolean => {
    held = undefined;
    return pieces.length === 0 || emit("data", Buffer.concat(pieces));
  };
  // What reads the socket comes and goes with its request; what it is given is changed here.
  socket.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (held === undefined) return emit(event, ...args);
    if (event === "end") release(held);
    if (event !== "data") return emit(event, ...args);
    const piece = args[0] as Buffer;
    held.push(piece);
    bytes += piece.length;
    const seen = Buffer.concat([before, piece]);
    if (!blank.test(seen.toString("latin1"))) {
      before = seen.subarray(-partBytes);
      return (bytes < maxBytes && held.length < mostPieces) || release(held);
    }
    return release([withoutRepeats(Buffer.concat(held))]);
  };
}

function withoutRepeats(answer: Buffer): Buffer {
  const end = blank.exec(answer.toString("latin1"));
  if (end === null) return answer;
  const cut = end.index + end[0].indexOf("\n") + 1;
  const head = onceEach(answer.toString("latin1", 0, cut));
  return Buffer.concat([Buffer.from(head, "latin1"), answer.subarray(cut)]);
}

function onceEach(head: string): string {
  const lines = head.split("\n");
  const valueOf = (line: string): string | undefined => length.exec(line.trimEnd())?.[1]?.trim();
  const values = new Set(lines.flatMap((line) => valueOf(line) ?? []));
  if (values.size !== 1) return head;
  const first = lines.findIndex((line) => valueOf(line) !== undefined);
  return lines.filter((line, at) => at <= first || valueOf(line) === undefined).join("\n");
}
