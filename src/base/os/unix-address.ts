// SPDX-License-Identifier: Apache-2.0
import { SystemError } from "./errno.ts";

export const unixFamily = 1; // AF_UNIX
/** sockaddr_un holds 108 bytes, the terminating zero among them. */
const maxPathBytes = 107;
const nameTooLong = 36;

/** sockaddr_un of a path. Throws SystemError ENAMETOOLONG, named after the call that needs it. */
export function unixAddress(path: string, call: string): Buffer {
  const name = Buffer.from(path);
  if (name.byteLength > maxPathBytes) throw new SystemError(call, nameTooLong, path);
  const address = Buffer.alloc(2 + name.byteLength + 1);
  address.writeUInt16LE(unixFamily, 0);
  name.copy(address, 2);
  return address;
}
