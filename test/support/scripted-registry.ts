// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import path from "node:path";
import { writeOciLayout } from "./oci-image.ts";

/** An image in memory, for a registry in the test itself: for cases that need one that misbehaves. */
export interface ScriptedImage {
  /** Digest of its config. */
  readonly id: string;
  readonly manifest: { readonly digest: string; readonly mediaType: string };
  /** Digest of its only layer. */
  readonly layer: string;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

/** Makes an image with one layer of 256 KiB, or so many, that gzip cannot shrink; other `words` make another image. */
export async function scriptedImage(
  folder: string,
  words: string,
  kibibytes = 256,
): Promise<ScriptedImage> {
  await mkdir(folder, { recursive: true });
  const noise = createHash("sha512").update(words);
  const content = Buffer.concat(
    Array.from({ length: kibibytes * 16 }, (_, at) => noise.copy().update(String(at)).digest()),
  );
  const config = { Labels: { words } };
  const id = await writeOciLayout(folder, "x", { config, layers: [[{ path: "noise", content }]] });
  const blobs = new Map<string, Buffer>();
  const blobFolder = path.join(folder, "blobs/sha256");
  for (const name of await readdir(blobFolder)) {
    blobs.set(`sha256:${name}`, await readFile(path.join(blobFolder, name)));
  }
  const index = JSON.parse(await readFile(path.join(folder, "index.json"), "utf8")) as {
    readonly manifests: readonly [ScriptedImage["manifest"]];
  };
  const [manifest] = index.manifests;
  const { layers } = JSON.parse(String(blobs.get(manifest.digest))) as {
    readonly layers: readonly [{ readonly digest: string }];
  };
  return { id, manifest, layer: layers[0].digest, blobs };
}

/** Answers itself by returning true; the image is served otherwise. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => boolean | void;

export interface ScriptedRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Every request with what it said, as one text: for what must not be in it. */
  readonly heard: readonly string[];
}

/** Serves an image under any repository and tag. */
export async function serveImage(
  { blobs, manifest }: ScriptedImage,
  first: Handler = () => false,
  tls?: https.ServerOptions,
): Promise<ScriptedRegistry> {
  const heard: string[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const said = [request.method, request.url, JSON.stringify(request.headers)];
    const at = heard.push(said.join(" ")) - 1;
    request.on("data", (chunk: Buffer) => (heard[at] += chunk.toString()));
    if (first(request, response)) return;
    const digest = digestIn(request) ?? manifest.digest;
    const body = blobs.get(digest);
    if (!body) {
      response.writeHead(404).end();
      return;
    }
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
    const from = range ? Number(range[1]) : 0;
    response.writeHead(range ? 206 : 200, {
      "content-type": digest === manifest.digest ? manifest.mediaType : "application/octet-stream",
      "content-length": body.length - from,
      "docker-content-digest": digest,
      ...(range && { "content-range": `bytes ${from}-${body.length - 1}/${body.length}` }),
    });
    response.end(request.method === "HEAD" ? undefined : body.subarray(from));
  };
  const server = tls ? https.createServer(tls, answer) : http.createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    host: `127.0.0.1:${address.port}`,
    heard,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The digest that a request names; undefined for one by tag. */
export function digestIn(request: IncomingMessage): string | undefined {
  const name = (request.url ?? "").split("?")[0]?.split("/").at(-1) ?? "";
  return /^sha\d+:/.test(name) ? name : undefined;
}

export const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

/** Answers 401 with `challenge` to everyone who does not send `wanted`. */
export const guard =
  (wanted: string, challenge: string): Handler =>
  (request, response) => {
    if (request.headers.authorization === wanted) return false;
    response.writeHead(401, { "www-authenticate": challenge }).end();
    return true;
  };
