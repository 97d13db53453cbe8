// SPDX-License-Identifier: Apache-2.0
import { type FaultCode, fault } from "../base/errors.ts";
import type { Answer, SessionCall, WorkerNotice } from "./messages.ts";
import type { SessionEnd } from "./ports.ts";

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The worker's connection to the main thread: calls of sessions with their answers, and how processes ended. */
export class MainLink {
  readonly #post: (notice: WorkerNotice) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ends = new Map<number, (end: SessionEnd) => void>();
  #sequence = 0;

  constructor(post: (notice: WorkerNotice) => void) {
    this.#post = post;
  }

  /** Main answers every call, also after the session is gone. Rejects with the host's fault. */
  call(session: number, call: SessionCall): Promise<unknown> {
    this.#sequence += 1;
    const sequence = this.#sequence;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(sequence, { resolve, reject });
    this.#post({ kind: "call", session, sequence, call });
    return promise;
  }

  answer(sequence: number, answer: Answer): void {
    const waiting = this.#waiting.get(sequence);
    this.#waiting.delete(sequence);
    if (answer.ok) waiting?.resolve(answer.value);
    else waiting?.reject(fault(answer.fault.code satisfies FaultCode, answer.fault.message));
  }

  onEnded(session: number, listener: (end: SessionEnd) => void): void {
    this.#ends.set(session, listener);
  }

  ended(session: number, end: SessionEnd): void {
    this.#ends.get(session)?.(end);
  }

  gone(session: number): void {
    this.#ends.delete(session);
    this.#post({ kind: "gone", session });
  }

  log(
    level: "debug" | "info" | "warn",
    fields: Readonly<Record<string, unknown>>,
    message: string,
  ): void {
    this.#post({ kind: "log", level, fields, message });
  }
}
