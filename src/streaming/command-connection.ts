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
  /** Calls the listener for each size of the client's terminal, and at once when one has come already. */
  onResize(listener: (size: TerminalSize) => void): void;
  /** Probes the client: one that vanished while its input was paused is noticed in no other way. */
  ping(): void;
  /** Cuts the client off. */
  destroy(): void;
  /**
   * Ends the outputs, sends the status ("" for none) and closes the connection in its protocol's way. Settles when
   * the client has closed it too.
   */
  finish(status: string): Promise<void>;
}
