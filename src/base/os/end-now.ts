// SPDX-License-Identifier: Apache-2.0
import { libc } from "./libc.ts";

const cExit = libc("void _exit(int status)");

/**
 * Ends the process at once. `process.exit` waits for each thread of libuv's pool, for ever for one that sits in a read
 * from a dead server.
 */
export function endNow(status: number): void {
  cExit(status);
}
