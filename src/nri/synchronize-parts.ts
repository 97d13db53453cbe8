// SPDX-License-Identifier: Apache-2.0
import { setImmediate as loopTurn } from "node:timers/promises";
import { codec } from "../rpc/codec.ts";
import { mostRequestBytes, type RequestInit } from "./connection.ts";
import type { ContainerInit, PodSandboxInit } from "./messages.ts";

/** A node's pods and containers at one moment: which there are is fixed, each message is made when it is sent. */
export interface Snapshot {
  readonly pods: readonly (() => PodSandboxInit | undefined)[];
  readonly containers: readonly (() => ContainerInit | undefined)[];
}

export interface SynchronizePart {
  /** An encoded SynchronizeRequest. */
  readonly payload: Buffer;
  /** Another part follows. */
  readonly more: boolean;
}

/** But for the flag. */
const mostPartBytes = mostRequestBytes - 2;
/** How long messages are made at a stretch, in milliseconds. */
const stretchMs = 5;

/**
 * A snapshot as the requests of a Synchronize: all in one where it fits, because old plugins know no parts. One part is
 * in memory at a time, and the event loop has its turns between the messages. What cannot be told, because it is longer
 * than a message may be, is left out: a tenant could keep every plugin out otherwise.
 */
export async function* synchronizeParts(
  snapshot: Snapshot,
  leftOut: (why: { readonly bytes: number } | { readonly err: unknown }) => void,
  mostBytes = mostPartBytes,
): AsyncGenerator<SynchronizePart, void> {
  let pieces: Buffer[] = [];
  let length = 0;
  let stretchEnd = performance.now() + stretchMs;
  for (const makePiece of piecesOf(snapshot)) {
    let piece: Buffer;
    try {
      piece = makePiece();
    } catch (err) {
      leftOut({ err });
      continue;
    }
    if (piece.length > mostBytes) {
      leftOut({ bytes: piece.length });
      continue;
    }
    if (length + piece.length > mostBytes) {
      yield { payload: Buffer.concat([...pieces, encode({ more: true })]), more: true };
      pieces = [];
      length = 0;
      stretchEnd = performance.now() + stretchMs;
    }
    pieces.push(piece);
    length += piece.length;
    if (performance.now() > stretchEnd) {
      await loopTurn();
      stretchEnd = performance.now() + stretchMs;
    }
  }
  yield { payload: Buffer.concat(pieces), more: false };
}

/** Each is a request with one thing in it, or nothing: protobuf merges what stands one after the other. */
function* piecesOf({ pods, containers }: Snapshot): Generator<() => Buffer, void> {
  for (const make of pods) {
    yield () => {
      const pod = make();
      return encode({ pods: pod === undefined ? [] : [pod] });
    };
  }
  for (const make of containers) {
    yield () => {
      const container = make();
      return encode({ containers: container === undefined ? [] : [container] });
    };
  }
}

function encode(part: RequestInit<"Synchronize">): Buffer {
  return codec("nri.pkg.api.v1alpha1.SynchronizeRequest").encode(part);
}
