// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cSocket = libc("int socket(int domain, int type, int protocol)");
const cIoctl = libc("int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)");
const cClose = libc("int close(int fd)");

const addressFamilyInet = 2;
const socketDatagram = 2;
const closeOnExec = 0o2000000;
const getFlags = 0x8913; // SIOCGIFFLAGS
const setFlags = 0x8914; // SIOCSIFFLAGS
const flagUp = 1;
/** struct ifreq: 16 bytes of name, then a union of which the flags use two bytes. */
const requestBytes = 40;
const nameBytes = 16;

/**
 * Sets an interface up in the calling thread's network namespace, as `ip link set NAME up` does, in
 * 20 µs instead of a process. Throws SystemError (ENODEV, EPERM).
 */
export function linkUp(name: string): void {
  const fd = checked(cSocket(addressFamilyInet, socketDatagram | closeOnExec, 0), "socket", name);
  try {
    const request = Buffer.alloc(requestBytes);
    request.write(name.slice(0, nameBytes - 1), "latin1");
    checked(cIoctl(fd, getFlags, request), "ioctl SIOCGIFFLAGS", name);
    request.writeUInt16LE(request.readUInt16LE(nameBytes) | flagUp, nameBytes);
    checked(cIoctl(fd, setFlags, request), "ioctl SIOCSIFFLAGS", name);
  } finally {
    cClose(fd);
  }
}
