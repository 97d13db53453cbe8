// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { Claim } from "./claim.ts";
import type { UndoStep } from "./undo.ts";

/** What a verb asks for when it has an operation performed. */
export interface OperationRequest {
  readonly rpc: string;
  /** Id or name of what it works on. With `rpc` it is what a second call joins by. */
  readonly object: string;
  /**
   * A second call joins the first: it gets that one's result or failure, and the operation outlives the
   * request that began it. With a `request` both must agree in it: ALREADY_EXISTS else.
   */
  readonly joins?: boolean | { readonly request: unknown };
  /** How long it may take, and what it is, for the fault at the end of that: `starting container "4f1c"`. */
  readonly limit?: { readonly ms: number; readonly what: string };
  /** Runs before all else, for calls that join none. What it refuses by throwing is no operation: nobody sees it. */
  readonly admit?: () => void;
  /** What the log says beside the name of a step that could not be undone. */
  readonly facts?: Readonly<Record<string, string>>;
}

/**
 * One mutating verb at work: its stages, what takes them back, and its time. It is the `call` of what it
 * waits for: its signal fires at the end of its time, and with the daemon where a call may join it, else with
 * its request.
 */
export interface Operation extends Cancellable {
  readonly run: Claim["run"];
  /**
   * Adds what takes a step back should the operation fail. Steps run in reverse order, each under a deadline
   * of its own, all of them even when one fails; never under the operation's own signal.
   */
  undo(name: string, step: UndoStep): void;
  /** The commit point: what fails from here on undoes nothing. Without it, the operation's end. */
  keep(): void;
}
