// SPDX-License-Identifier: Apache-2.0
import { readSync } from "node:fs";
import type { Job } from "../jobs.ts";
import { type AccountQuery, AccountSearch, type FoundAccounts } from "./passwd-file.ts";

export interface SearchRequest {
  /** A regular file, open for reading; it stays the caller's. */
  readonly fd: number;
  readonly query: AccountQuery;
}

const pieceBytes = 64 * 1024;

/** Looks through a file of users or groups, piece by piece. */
export function* searchFile({ fd, query }: SearchRequest): Job<FoundAccounts> {
  const search = new AccountSearch(query);
  const piece = Buffer.allocUnsafe(pieceBytes);
  for (let at = 0; ; ) {
    const length = readSync(fd, piece, 0, piece.length, at);
    at += length;
    if (length === 0 || !search.push(piece.subarray(0, length))) return search.end();
    yield;
  }
}
