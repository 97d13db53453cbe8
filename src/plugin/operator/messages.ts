// SPDX-License-Identifier: Apache-2.0
import type { HookName } from "./api.ts";

/** What a plugin's worker is started with. */
export interface WorkerStart {
  readonly file: string;
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Daemon → worker: run a hook. */
export interface HookCall {
  readonly sequence: number;
  readonly hook: HookName;
  readonly request: unknown;
}

/** Worker → daemon. */
export type WorkerNotice =
  | { readonly kind: "loaded"; readonly hooks: readonly HookName[] }
  | { readonly kind: "notLoaded"; readonly error: string }
  /** The hook runs now: its time counts from here, not from when the call was sent. */
  | { readonly kind: "began"; readonly sequence: number }
  | { readonly kind: "answered"; readonly sequence: number; readonly answer: unknown }
  | { readonly kind: "failed"; readonly sequence: number; readonly error: string };
