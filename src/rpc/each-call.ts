// SPDX-License-Identifier: Apache-2.0
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/**
 * Has each call of `server` looked at before grpc-js sees it: with its headers, which may be changed, and
 * its stream, of which nothing has been read. To be called before the server listens.
 *
 * grpc-js offers no such look, so this stands where it takes over a new HTTP/2 server. Where a later grpc-js
 * has no such place, no call is looked at: a test of this folder fails then.
 */
export function beforeEachCall(
  server: Server,
  listener: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): void {
  const inner = server as unknown as {
    _setupHandlers?: (http2: Http2Server, ...rest: readonly unknown[]) => void;
  };
  const original = inner._setupHandlers;
  if (original === undefined) return;
  inner._setupHandlers = (http2, ...rest) => {
    http2.on("stream", listener);
    original.call(server, http2, ...rest);
  };
}
