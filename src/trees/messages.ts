// SPDX-License-Identifier: Apache-2.0
import type { FaultCode } from "../base/errors.ts";

export interface TreeWorkerData {
  /** Memory of `Descriptors`. */
  readonly descriptors: SharedArrayBuffer;
  /** Added to the daemon's own. */
  readonly niceness: number;
}

export type TreeRequest =
  | {
      readonly kind: "run";
      readonly id: number;
      readonly job: string;
      readonly request: unknown;
    }
  | { readonly kind: "cancel"; readonly id: number };

export type TreeAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly id: number;
      readonly ok: false;
      readonly code: FaultCode;
      readonly message: string;
    };
