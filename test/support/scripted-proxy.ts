// SPDX-License-Identifier: Apache-2.0
import http from "node:http";
import https from "node:https";
import net from "node:net";
import type { Duplex } from "node:stream";

export interface ScriptedProxyOptions {
  /** What names lead to, by host: `registry.test` to `127.0.0.1:PORT`. */
  readonly routes: ReadonlyMap<string, string>;
  /** The Proxy-Authorization header that it wants. */
  readonly wants?: string;
  readonly tls?: https.ServerOptions;
  /** Whether it takes a request and then says nothing. */
  readonly hangs?: boolean;
}

/** An HTTP proxy on loopback, with CONNECT, that knows the names it is told. */
export interface ScriptedProxy extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** `CONNECT registry.test:443`, `GET http://…`. */
  readonly asked: readonly string[];
}

export async function startProxy({
  routes,
  wants,
  tls,
  hangs = false,
}: ScriptedProxyOptions): Promise<ScriptedProxy> {
  const asked: string[] = [];
  const open = new Set<Duplex>();
  const place = (name: string): { host: string; port: number } => {
    const [host = "", port = ""] = (routes.get(name) ?? "127.0.0.1:1").split(":");
    return { host, port: Number(port) };
  };
  const isWelcome = (request: http.IncomingMessage): boolean => {
    asked.push(`${request.method} ${request.url}`);
    return wants === undefined || request.headers["proxy-authorization"] === wants;
  };
  const forward: http.RequestListener = (request, response) => {
    if (hangs) return;
    if (!isWelcome(request)) {
      response.writeHead(407, { "proxy-authenticate": 'Basic realm="p"' }).end();
      return;
    }
    const url = new URL(request.url ?? "");
    const { "proxy-authorization": _own, ...headers } = request.headers;
    const onward = http.request({
      ...place(url.hostname),
      method: request.method,
      path: url.pathname + url.search,
      headers,
    });
    onward.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.writeHead(502).end());
    request.pipe(onward);
  };
  const server = tls ? https.createServer(tls, forward) : http.createServer(forward);
  server.on("connect", (request: http.IncomingMessage, client: Duplex) => {
    open.add(client);
    client.on("error", () => {});
    if (hangs) return;
    if (!isWelcome(request)) {
      client.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
      return;
    }
    const behind = net.connect(place(new URL(`http://${request.url}`).hostname), () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      client.pipe(behind).pipe(client);
    });
    open.add(behind);
    behind.on("error", () => client.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    client.on("close", () => behind.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    host: `127.0.0.1:${address.port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const stream of open) stream.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
