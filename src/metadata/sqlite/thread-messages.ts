// SPDX-License-Identifier: Apache-2.0
import type { FaultCode } from "../../base/errors.ts";
import type { RowChange, StoredRow } from "../mirrored-table.ts";

/**
 * To the writer thread. One request is under way at a time; `open` comes first, and once; `next` asks for the next rows until the last
 * have come, and comes before any `write`; `close` has no answer but the exit.
 */
export type ThreadRequest =
  | { readonly kind: "open"; readonly file: string }
  | { readonly kind: "next" }
  | { readonly kind: "write"; readonly changes: readonly RowChange[] }
  | { readonly kind: "close" };

/** From it: one answer a request; and `harm`, unasked, whenever that has changed (see MetadataStore). */
export type ThreadAnswer =
  | { readonly kind: "opened" }
  | { readonly kind: "rows"; readonly rows: readonly StoredRow[]; readonly isLast: boolean }
  | { readonly kind: "written" }
  | { readonly kind: "failed"; readonly code: FaultCode; readonly message: string }
  | { readonly kind: "harm"; readonly harm: string | undefined };
