// SPDX-License-Identifier: Apache-2.0
import { chmodSync, closeSync } from "node:fs";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";
import { unixAddress, unixFamily } from "./unix-address.ts";

const cSocket = libc("int socket(int domain, int type, int protocol)");
const cBind = libc("int bind(int fd, const uint8_t *address, unsigned int length)");
const cListen = libc("int listen(int fd, int backlog)");

const stream = 1 | 0o2000000; // SOCK_STREAM | SOCK_CLOEXEC
const backlog = 128;

/**
 * A listening unix socket (mode 0600) for another process to serve: connections wait in its backlog until then.
 * Node's own servers would unlink the path when they close. Throws SystemError: EADDRINUSE when the path exists,
 * ENOENT, ENAMETOOLONG.
 */
export function listenUnix(path: string): number {
  const address = unixAddress(path, "bind");
  const fd = checked(cSocket(unixFamily, stream, 0), "socket");
  try {
    checked(cBind(fd, address, address.byteLength), "bind", path);
    chmodSync(path, 0o600); // nobody connects before it listens
    checked(cListen(fd, backlog), "listen", path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
