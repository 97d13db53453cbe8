// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { text } from "../kinds.ts";

export const metrics = table({
  doc: "The HTTP endpoint for Prometheus: /metrics and /healthz.",
  keys: {
    /** host:port; "" turns the endpoint off. */
    address: key({
      name: "address",
      kind: text,
      default: "127.0.0.1:9464",
      change: "reload",
      doc: '`host:port` to listen on, an IPv6 host in brackets; port 0 takes any free port. "" turns the endpoint off. It has no authentication: keep it on loopback or behind a firewall.',
    }),
  },
});
