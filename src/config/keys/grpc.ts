// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { absolutePath, integer, size } from "../kinds.ts";
import { layoutOf, usualFolders } from "../layout.ts";

const maxId = 2 ** 32 - 2;

export const grpc = table({
  doc: "The unix socket that serves CRI to the kubelet and containerd's services to ctr and berth.",
  keys: {
    /** Path of the unix socket; `<address>.ttrpc` is the shims' event socket. */
    address: key({
      name: "address",
      kind: absolutePath,
      default: layoutOf(usualFolders).socket,
      change: "restart",
      doc: "Path of the socket. When it is not set, it is `berthd.sock` in the state folder. Shims report events to the same path with `.ttrpc` appended.",
    }),
    uid: key({
      name: "uid",
      kind: integer(0, maxId),
      default: 0,
      change: "restart",
      doc: "Owner of the socket.",
    }),
    gid: key({
      name: "gid",
      kind: integer(0, maxId),
      default: 0,
      change: "restart",
      doc: "Group of the socket; its mode is 0660.",
    }),
    maxRecvBytes: key({
      name: "max_recv_message_size",
      kind: size,
      default: 16 * 1024 * 1024,
      change: "restart",
      doc: "Largest request that is accepted.",
    }),
    maxSendBytes: key({
      name: "max_send_message_size",
      kind: size,
      default: 64 * 1024 * 1024,
      change: "restart",
      doc: "Largest answer that is sent. ExecSync answers with both streams in one, and kubelets take 16MiB.",
    }),
  },
});
