// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import http, { type IncomingMessage, type ServerResponse } from "node:http";

/** A registry in memory that takes pushes, for cases that need one that misbehaves. */
export interface UploadRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** `METHOD path?query` of each request, in their order. */
  readonly asked: readonly string[];
  /** Request headers, beside `asked`. */
  readonly headers: readonly http.IncomingHttpHeaders[];
  readonly blobs: ReadonlyMap<string, Buffer>;
  /** By tag or digest. */
  readonly manifests: ReadonlyMap<string, Buffer>;
}

/** What was asked, to decide whether to misbehave. */
export interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Without its query. */
  readonly path: string;
  /** How often this method came for this kind of thing, this time included. */
  readonly count: number;
  /** Upload, blob or manifest. */
  readonly kind: "start" | "upload" | "blob" | "manifest" | "other";
}

export interface UploadFaults {
  /** Answers itself by returning true. */
  readonly first?: (asked: Asked) => boolean | Promise<boolean> | void;
  /** Takes so many bytes of a request's body, keeps them, and cuts the connection. */
  readonly cutAfter?: (asked: Asked) => number | undefined;
  /** Whether an upload that was cut off keeps what came of it. Default true. */
  readonly forgets?: boolean;
  /** Of an upload's place. */
  readonly location?: (path: string, host: string) => string | undefined;
  readonly uploadHeaders?: http.OutgoingHttpHeaders;
  /** What it says to have stored a manifest as. */
  readonly storedAs?: string;
}

/** Serves it on the loopback. */
export async function serveUploads(faults: UploadFaults = {}): Promise<UploadRegistry> {
  const state = new UploadState(faults);
  const server = http.createServer((request, response) => {
    request.on("error", () => {});
    state.answer(request, response).catch(() => void request.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  state.host = `127.0.0.1:${address.port}`;
  return Object.assign(state, {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

class UploadState {
  host = "";
  readonly asked: string[] = [];
  readonly headers: http.IncomingHttpHeaders[] = [];
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, Buffer>();
  readonly #uploads = new Map<string, Buffer>();
  readonly #counts = new Map<string, number>();
  readonly #faults: UploadFaults;
  #made = 0;

  constructor(faults: UploadFaults) {
    this.#faults = faults;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "" } = request;
    this.asked.push(`${method} ${url}`);
    this.headers.push(request.headers);
    const { pathname: path, searchParams } = new URL(url, "http://x");
    const kind = kindOf(path);
    const key = `${method} ${kind}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    const asked: Asked = { request, response, path, count, kind };
    if ((await this.#faults.first?.(asked)) === true) return;
    const name = path.split("/").at(-1) ?? "";
    if (kind === "blob") {
      const blob = this.blobs.get(name);
      response.writeHead(blob ? 200 : 404, { "content-length": blob?.length ?? 0 }).end();
    } else if (kind === "manifest") {
      await this.#manifest(asked, name);
    } else if (kind === "start") {
      await bodyOf(request);
      const id = `u${(this.#made += 1)}`;
      this.#uploads.set(id, Buffer.alloc(0));
      this.#accepted(response, id, 202);
    } else if (kind === "upload") {
      await this.#upload(asked, name, searchParams.get("digest") ?? "");
    } else {
      response.writeHead(404).end();
    }
  }

  async #manifest({ request, response }: Asked, name: string): Promise<void> {
    const known = this.manifests.get(name);
    if (request.method === "HEAD") {
      const headers = known && { "docker-content-digest": digestOf(known) };
      response.writeHead(known ? 200 : 404, headers).end();
      return;
    }
    const bytes = await bodyOf(request);
    this.manifests.set(name, bytes);
    this.manifests.set(digestOf(bytes), bytes);
    const stored = this.#faults.storedAs ?? digestOf(bytes);
    response.writeHead(201, { "docker-content-digest": stored }).end();
  }

  async #upload(asked: Asked, id: string, digest: string): Promise<void> {
    const { request, response } = asked;
    const known = this.#uploads.get(id);
    if (!known) {
      await bodyOf(request);
      response.writeHead(404).end('{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}');
      return;
    }
    if (request.method === "GET") {
      this.#accepted(response, id, 204);
      return;
    }
    const cut = this.#faults.cutAfter?.(asked);
    const came = await bodyOf(request, cut);
    const all = Buffer.concat([known, came]);
    this.#uploads.set(id, all);
    if (cut !== undefined) {
      if (this.#faults.forgets === true) this.#uploads.delete(id);
      request.socket.destroy();
      return;
    }
    const start = Number(
      /^(\d+)-/.exec(request.headers["content-range"] ?? "")?.[1] ?? known.length,
    );
    if (start !== known.length) {
      this.#uploads.set(id, known);
      response.writeHead(416, { range: `0-${known.length - 1}` }).end();
      return;
    }
    if (request.method === "PATCH") {
      this.#accepted(response, id, 202);
      return;
    }
    if (digestOf(all) !== digest) {
      response.writeHead(400).end('{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}');
      return;
    }
    this.#uploads.delete(id);
    this.blobs.set(digest, all);
    response.writeHead(201, { "docker-content-digest": digest }).end();
  }

  #accepted(response: ServerResponse, id: string, status: number): void {
    const path = `/v2/uploads/${id}`;
    const told = this.#faults.location ?? ((at: string) => at);
    const location = told(path, this.host);
    const length = this.#uploads.get(id)?.length ?? 0;
    response
      .writeHead(status, {
        ...(location !== undefined && { location }),
        range: `0-${Math.max(0, length - 1)}`,
        ...this.#faults.uploadHeaders,
      })
      .end();
  }
}

function kindOf(path: string): Asked["kind"] {
  if (path.endsWith("/blobs/uploads/")) return "start";
  if (path.startsWith("/v2/uploads/")) return "upload";
  if (/\/blobs\/sha256:/.test(path)) return "blob";
  return path.includes("/manifests/") ? "manifest" : "other";
}

/** All of a request's body, or its first bytes, after which nothing is read. */
async function bodyOf(request: IncomingMessage, most = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  if (most === 0) return Buffer.alloc(0);
  const { promise, resolve } = Promise.withResolvers<void>();
  request.on("data", (chunk: Buffer) => {
    const piece = chunk.subarray(0, most - length);
    if (piece.length > 0) chunks.push(piece);
    length += piece.length;
    if (length >= most) resolve();
  });
  request.on("close", resolve);
  request.on("end", resolve);
  await promise;
  return Buffer.concat(chunks);
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
