// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";
import { libc } from "../../../src/base/os/libc.ts";

const cDup = libc("int dup(int fd)");

/** Another descriptor of a connected socket, as a host's `dial` answers one; the socket itself is closed. */
export function takeDescriptor(socket: Socket): number {
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const copy = cDup(fd);
  socket.destroy();
  return copy;
}
