// SPDX-License-Identifier: Apache-2.0
import { checked, errnoName, lastError } from "./errno.ts";
import { libc } from "./libc.ts";

const cSocket = libc("int socket(int domain, int type, int protocol)");
const cConnect = libc("int connect(int fd, const uint8_t *address, unsigned int length)");
const cPoll = libc("int poll(_Inout_ uint8_t *fds, unsigned long count, int timeoutMs)");
const cGetsockopt = libc(
  "int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint8_t *length)",
);

export type AddressFamily = "ipv4" | "ipv6";

const families: Readonly<Record<AddressFamily, number>> = { ipv4: 2, ipv6: 10 };
const nonBlockingStream = 1 | 0o4000 | 0o2000000; // SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC
const pollOut = 0x4;
const solSocket = 1;
const soError = 4;

/** A non-blocking, close-on-exec TCP socket in the calling thread's network namespace. EAFNOSUPPORT without IPv6. */
export function openTcpSocket(family: AddressFamily): number {
  return checked(cSocket(families[family], nonBlockingStream, 0), "socket");
}

/** Begins to connect to a port of the loopback address of the socket's namespace; never waits. */
export function startConnect(fd: number, family: AddressFamily, port: number): void {
  const address = loopback(family, port);
  if (cConnect(fd, address, address.length) === 0) return;
  const error = lastError("connect");
  if (error.code !== "EINPROGRESS") throw error;
}

/** True once the connection stands, false while it does not yet; throws why it never will (ECONNREFUSED, …). */
export function isConnected(fd: number): boolean {
  const entry = Buffer.alloc(8); // struct pollfd
  entry.writeInt32LE(fd, 0);
  entry.writeInt16LE(pollOut, 4);
  if (checked(cPoll(entry, 1, 0), "poll") === 0) return false;
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  checked(cGetsockopt(fd, solSocket, soError, value, length), "getsockopt");
  const errno = value.readInt32LE();
  if (errno !== 0) throw Object.assign(new Error("connect"), { code: errnoName(errno) });
  return true;
}

/** sockaddr_in of 127.0.0.1 or sockaddr_in6 of ::1. */
function loopback(family: AddressFamily, port: number): Buffer {
  const address = Buffer.alloc(family === "ipv4" ? 16 : 28);
  address.writeUInt16LE(families[family], 0);
  address.writeUInt16BE(port, 2);
  if (family === "ipv4") address.set([127, 0, 0, 1], 4);
  else address[23] = 1;
  return address;
}
