// SPDX-License-Identifier: Apache-2.0
import type { Readable, Writable } from "node:stream";
import type { TerminalSize } from "./ports.ts";

/** A client of exec or attach whose streams are all there, over whatever protocol. */
export interface CommandConnection {
  /** Of the remote command protocol, 1 to 5: from 4 on a status is JSON. */
  readonly version: number;
  /** What the client asked for; absent otherwise. */
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  /** Aborts when the client is gone. */
  readonly gone: AbortSignal;
  /** Sizes of the client's terminal; the latest one at once if one has come already. */
  onResize(listener: (size: TerminalSize) => void): void;
  /** Asks for a sign of life: a client that vanished while its input was paused is noticed only so. */
  ping(): void;
  /** Cuts the client off. */
  destroy(): void;
  /** Ends the outputs, sends the status ("" for none), says goodbye. Settles when the client has hung up. */
  finish(status: string): Promise<void>;
}
