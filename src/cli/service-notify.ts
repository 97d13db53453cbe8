// SPDX-License-Identifier: Apache-2.0
import { endianness } from "node:os";
import type { Logger } from "../base/logger.ts";
import { checked } from "../base/os/errno.ts";
import { libc } from "../base/os/libc.ts";

const socketCall = libc("int socket(int domain, int type, int protocol)");
const sendToCall = libc(
  "long sendto(int fd, const char *bytes, size_t length, int flags, const uint8_t *address, uint32_t addressLength)",
);
const closeCall = libc("int close(int fd)");

const unixDomain = 1;
const datagram = 2;
const closeOnExec = 0o2000000;
const noSignal = 0x4000;

/**
 * Reports the progress of the start to the service manager, by systemd's notify protocol (sd_notify(3)): one datagram
 * with `READY=1` or the like. Node has no datagram unix sockets, so this goes through libc. Without a socket the
 * function does nothing; a failure is logged and never stops the daemon.
 */
export function openNotifySocket(path: string | undefined, log: Logger): (state: string) => void {
  if (path === undefined || !/^[/@]/.test(path)) return () => {};
  return (state) => {
    try {
      send(path, state);
    } catch (err) {
      log.warn({ err, state }, "cannot notify the service manager");
    }
  };
}

function send(path: string, state: string): void {
  const address = addressOf(path);
  const fd = checked(socketCall(unixDomain, datagram | closeOnExec, 0), "socket");
  try {
    const length = Buffer.byteLength(state);
    checked(sendToCall(fd, state, length, noSignal, address, address.byteLength), "sendto", path);
  } finally {
    closeCall(fd);
  }
}

/** sockaddr_un: the family in host order, then the path; "@" begins an abstract name with a zero. */
function addressOf(path: string): Buffer {
  const family = Buffer.alloc(2);
  if (endianness() === "LE") family.writeUInt16LE(unixDomain);
  else family.writeUInt16BE(unixDomain);
  const name = path.startsWith("@") ? `\0${path.slice(1)}` : `${path}\0`;
  return Buffer.concat([family, Buffer.from(name)]);
}
