// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { duration, integer, pathOrNone, text } from "../kinds.ts";

export const streaming = table({
  doc: "The server behind the URLs of exec, attach and port-forward. The kubelet connects to it on this node.",
  keys: {
    /** host:port; port 0 takes any free port. */
    address: key({
      name: "address",
      kind: text,
      default: "127.0.0.1:0",
      change: "restart",
      doc: "`host:port` to listen on, an IPv6 host in brackets; port 0 takes any free port. Whoever knows an unused URL, which is random and good for a minute, can use it: keep it on loopback or give it a certificate.",
    }),
    /** A session without traffic for this long is closed; 0 never closes one. */
    idleTimeoutMs: key({
      name: "idle_timeout",
      kind: duration,
      default: 4 * 60 * 60 * 1000,
      change: "reload",
      doc: "A session that moved no byte for this long is closed; 0s never closes one.",
    }),
    /** How long a client may take to open the streams of its session. */
    creationTimeoutMs: key({
      name: "creation_timeout",
      kind: duration,
      default: 30_000,
      change: "reload",
      doc: "How long a client may take to open the streams of its session.",
    }),
    maxSessions: key({
      name: "max_sessions",
      kind: integer(1, 100_000),
      default: 1000,
      change: "reload",
      doc: "Sessions at once; further clients get 503.",
    }),
    /** PEM files for TLS, read anew when they change; both "" for plain HTTP. */
    tlsCertFile: key({
      name: "tls_cert_file",
      kind: pathOrNone,
      default: "",
      change: "restart",
      doc: 'PEM file of the certificate and its chain; "" serves plain HTTP. Read anew when it changes.',
    }),
    tlsKeyFile: key({
      name: "tls_key_file",
      kind: pathOrNone,
      default: "",
      change: "restart",
      doc: "PEM file of the certificate's key.",
    }),
  },
});
