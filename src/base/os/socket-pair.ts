// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";
import { unixFamily } from "./unix-address.ts";

const cSocketPair = libc("int socketpair(int domain, int type, int protocol, void *fds)");

const stream = 1 | 0o2000000; // SOCK_STREAM | SOCK_CLOEXEC

/** Two connected unix sockets that no child inherits by accident. Throws SystemError. */
export function socketPair(): readonly [ours: number, theirs: number] {
  const fds = Buffer.alloc(8);
  checked(cSocketPair(unixFamily, stream, 0, fds), "socketpair");
  return [fds.readInt32LE(0), fds.readInt32LE(4)];
}
