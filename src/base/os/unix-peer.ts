// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { checked, lastError } from "./errno.ts";
import { libc } from "./libc.ts";
import { identify, type NamedProcess } from "./proc.ts";
import { unixAddress, unixFamily } from "./unix-address.ts";

const cSocket = libc("int socket(int domain, int type, int protocol)");
const cConnect = libc("int connect(int fd, const uint8_t *address, unsigned int length)");
const cGetsockopt = libc(
  "int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint8_t *length)",
);

const nonBlockingStream = 1 | 0o4000 | 0o2000000; // SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC
const solSocket = 1;
const soPeerCred = 17;

export interface Listener {
  /**
   * The process that called listen(2), by SO_PEERCRED; undefined with a full backlog, or for another PID namespace.
   */
  readonly process: NamedProcess | undefined;
}

/** Who listens on the unix socket `path`; undefined when nobody does. Never waits. Throws SystemError. */
export function listenerOf(path: string): Listener | undefined {
  const address = unixAddress(path, "connect");
  const fd = checked(cSocket(unixFamily, nonBlockingStream, 0), "socket");
  try {
    if (cConnect(fd, address, address.byteLength) !== 0) {
      const error = lastError("connect", path);
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") return undefined;
      if (error.code === "EAGAIN") return { process: undefined }; // its backlog is full
      throw error;
    }
    const credentials = Buffer.alloc(12); // struct ucred: pid, uid, gid
    const length = Buffer.alloc(4);
    length.writeUInt32LE(credentials.length);
    checked(cGetsockopt(fd, solSocket, soPeerCred, credentials, length), "getsockopt");
    return { process: identify(credentials.readInt32LE()) };
  } finally {
    closeSync(fd);
  }
}
