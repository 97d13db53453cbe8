// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";

const blank = /\r?\n\r?\n/;
const length = /^content-length:(.*)$/i;

/**
 * Takes lengths that repeat the first one out of the next answer's headers, as other clients do. The parser refuses them
 * whatever they say; those that say another length are left for it to refuse. A head of more than `maxBytes` is left alone.
 */
export function withoutRepeatedLength(socket: Socket, maxBytes: number): void {
  let held: Buffer | undefined = Buffer.alloc(0);
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  const release = (bytes: Buffer): boolean => {
    held = undefined;
    return bytes.length === 0 || emit("data", bytes);
  };
  // What reads the socket comes and goes with its request; what it is given is changed here.
  socket.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (held === undefined) return emit(event, ...args);
    if (event === "end") release(held);
    if (event !== "data") return emit(event, ...args);
    held = Buffer.concat([held, args[0] as Buffer]);
    const end = blank.exec(held.toString("latin1"));
    if (end === null) return held.length < maxBytes || release(held);
    const cut = end.index + end[0].indexOf("\n") + 1;
    const head = onceEach(held.toString("latin1", 0, cut));
    return release(Buffer.concat([Buffer.from(head, "latin1"), held.subarray(cut)]));
  };
}

function onceEach(head: string): string {
  const lines = head.split("\n");
  const valueOf = (line: string): string | undefined => length.exec(line.trimEnd())?.[1]?.trim();
  const values = new Set(lines.flatMap((line) => valueOf(line) ?? []));
  if (values.size !== 1) return head;
  const first = lines.findIndex((line) => valueOf(line) !== undefined);
  return lines.filter((line, at) => at <= first || valueOf(line) === undefined).join("\n");
}
