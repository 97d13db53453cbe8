// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { absolutePath, integer, paths, size } from "../kinds.ts";
import { layoutOf, usualFolders } from "../layout.ts";

const maxId = 2 ** 32 - 2;

export const grpc = table({
  doc: "The unix sockets that serve CRI to the kubelet and containerd's services to ctr and berth.",
  keys: {
    /** Path of the unix socket; `<address>.ttrpc` is the shims' event socket. */
    address: key({
      name: "address",
      kind: absolutePath,
      default: layoutOf(usualFolders).socket,
      change: "restart",
      doc: "Path of the socket. When it is not set, it is `berthd.sock` in the state folder. Shims report events to the same path with `.ttrpc` appended.",
    }),
    /** Paths of further unix sockets of the same server. */
    also: key({
      name: "also",
      kind: paths,
      default: [],
      change: "reload",
      doc: 'Further sockets with the same services, owner and mode. `["/run/containerd/containerd.sock"]` on a node without containerd lets the cAdvisor of a kubelet find Berth, which since Kubernetes 1.37 looks nowhere else; `ctr` and `nerdctl` look there, too. Refused when another process listens on one; told by `berth status` when another takes one later.',
    }),
    uid: key({
      name: "uid",
      kind: integer(0, maxId),
      default: 0,
      change: "restart",
      doc: "Owner of the sockets.",
    }),
    gid: key({
      name: "gid",
      kind: integer(0, maxId),
      default: 0,
      change: "restart",
      doc: "Group of the sockets; their mode is 0660.",
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
