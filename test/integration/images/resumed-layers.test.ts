// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { ContentStore, Digest } from "../../../src/content/ports.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  basic,
  digestIn,
  guard,
  type Handler,
  type ScriptedImage,
  type ScriptedRegistry,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { until } from "../../support/until.ts";
import { broughtIn, freshContent } from "./brought-in-content.ts";
import { namespace, openLibrary } from "./library.ts";

// Layers that come in pieces: connections that break, servers that know Range or do not, redirects that expire,
// proxies that compress, and several pulls of one layer.

const skip = process.getuid?.() === 0 ? false : "needs root";

let home: Scratch;
let image: ScriptedImage;
let layer: Buffer;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "res" });
  image = await scriptedImage(await home.folder("image"), "in pieces");
  layer = image.blobs.get(image.layer)!;
});

after(async () => home?.[Symbol.asyncDispose]());

/** The n-th GET of the layer (from 1), and where it is asked for from. */
type LayerHandler = (
  response: ServerResponse,
  asked: { readonly nth: number; readonly from: number; readonly request: IncomingMessage },
) => boolean | void;

const ofLayer = (handler: LayerHandler): Handler => {
  let nth = 0;
  return (request, response) => {
    if (request.method !== "GET" || digestIn(request) !== image.layer) return false;
    nth += 1;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    return handler(response, { nth, from, request }) ?? true;
  };
};

/** Sends the layer's bytes from `start` to `end`, and breaks off there; `headers` as for the whole rest. */
function breakAfter(response: ServerResponse, start: number, end: number, isPart = true): void {
  const rest = layer.length - start;
  response.writeHead(isPart && start > 0 ? 206 : 200, {
    "content-length": rest,
    ...(isPart &&
      start > 0 && { "content-range": `bytes ${start}-${layer.length - 1}/${layer.length}` }),
  });
  response.write(layer.subarray(start, end), () => response.destroy());
}

const whole = (response: ServerResponse, body: Buffer = layer, headers = {}): void =>
  void response.writeHead(200, { "content-length": body.length, ...headers }).end(body);

const half = () => Math.floor(layer.length / 2);
const layerAsks = ({ heard }: ScriptedRegistry): number =>
  heard.filter((said) => said.startsWith("GET") && said.includes(image.layer)).length;

/** What answers the question after a break at the half. */
const second = (
  answer: (response: ServerResponse, from: number) => boolean | void,
): LayerHandler => {
  return (response, { nth, from }) => {
    if (nth === 1) return breakAfter(response, 0, half());
    if (nth > 2) return false;
    assert.ok(from > 0, "it goes on where it was");
    return answer(response, from);
  };
};

const part = (response: ServerResponse, start: number, range: string, body = layer): void =>
  void response.writeHead(206, { "content-range": range }).end(body.subarray(start));

const rows: readonly {
  readonly what: string;
  readonly layer: () => LayerHandler;
  /** Most questions for the layer. */
  readonly most?: number;
}[] = [
  {
    what: "a connection that breaks every 20 KiB",
    layer:
      () =>
      (response, { from }) =>
        breakAfter(response, from, from + 20 * 1024),
    most: 20,
  },
  {
    what: "a connection that breaks every 20 KiB at a server that ignores Range, a bit later each time",
    layer:
      () =>
      (response, { nth }) =>
        breakAfter(response, 0, nth * 20 * 1024, false),
    most: 20,
  },
  {
    what: "a connection that ends without a sign",
    layer:
      () =>
      (response, { nth, from }) =>
        nth > 1
          ? false
          : void response.socket?.end(
              Buffer.concat([
                Buffer.from(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n`),
                layer.subarray(from, half()),
              ]),
            ),
    most: 2,
  },
  { what: "Range is ignored", layer: () => second((response) => whole(response)), most: 2 },
  {
    what: "Range is ignored, in chunks",
    layer: () => second((response) => void response.writeHead(200).end(layer)),
    most: 2,
  },
  {
    what: "a part that begins before",
    layer: () =>
      second((response, from) =>
        part(response, from - 999, `bytes ${from - 999}-${layer.length - 1}/${layer.length}`),
      ),
    most: 2,
  },
  {
    what: "a part whose total is not told",
    layer: () =>
      second((response, from) => part(response, from, `bytes ${from}-${layer.length - 1}/*`)),
    most: 2,
  },
  {
    what: "a part that ends before the end",
    layer: () =>
      second((response, from) => {
        const end = from + 20_000;
        const range = `bytes ${from}-${end - 1}/${layer.length}`;
        part(response, from, range, layer.subarray(0, end));
      }),
    most: 3,
  },
  {
    what: "a part that begins later",
    layer: () =>
      second((response, from) =>
        part(response, from + 9, `bytes ${from + 9}-${layer.length - 1}/${layer.length}`),
      ),
    most: 3,
  },
  {
    what: "a part without its place",
    layer: () => second((response, from) => void response.writeHead(206).end(layer.subarray(from))),
    most: 3,
  },
  {
    what: "a part of something longer",
    layer: () => second((response, from) => part(response, from, `bytes ${from}-999999/1000000`)),
    most: 3,
  },
  {
    what: "a part in several parts",
    layer: () =>
      second(
        (response) =>
          void response
            .writeHead(206, { "content-type": "multipart/byteranges; boundary=x" })
            .end("--x\r\n\r\n--x--"),
      ),
    most: 3,
  },
  { what: "416", layer: () => second((r) => void r.writeHead(416).end()), most: 3 },
  {
    what: "a compressed part",
    layer: () =>
      second((response, from) => {
        const body = gzipSync(layer.subarray(from));
        const range = `bytes ${from}-${layer.length - 1}/${layer.length}`;
        response.writeHead(206, { "content-encoding": "gzip", "content-range": range }).end(body);
      }),
    most: 3,
  },
  {
    what: "a proxy that compresses",
    layer: () => (response) => whole(response, gzipSync(layer), { "content-encoding": "gzip" }),
    most: 1,
  },
  {
    what: "a proxy that compresses, in chunks and with zstd",
    layer: () => (response) =>
      void response.writeHead(200, { "content-encoding": "zstd" }).end(zstdCompressSync(layer)),
    most: 1,
  },
  {
    what: "a proxy that compresses, over a connection that breaks",
    layer:
      () =>
      (response, { nth }) => {
        const body = gzipSync(layer);
        response.writeHead(200, { "content-encoding": "gzip", "content-length": body.length });
        if (nth > 1) return void response.end(body);
        response.write(body.subarray(0, body.length / 2), () => response.destroy());
      },
    most: 2,
  },
  {
    what: "a store that names the layer's own compression",
    layer: () => (response) => whole(response, layer, { "content-encoding": "gzip" }),
    most: 1,
  },
  {
    what: "206 for the whole",
    layer: () => (response) => part(response, 0, `bytes 0-${layer.length - 1}/${layer.length}`),
    most: 1,
  },
];

suite("a layer is whole in spite of", { concurrency: 8, skip }, () => {
  for (const row of rows) {
    test(row.what, async () => {
      await using registry = await serveImage(image, ofLayer(row.layer()));
      await broughtIn(image, { home, registry: registry.host });
      const asks = layerAsks(registry);
      assert.ok(asks <= (row.most ?? 99), `${asks} questions`);
    });
  }
});

/** A registry that gives the image, and from where on it was asked for its layer each time. */
async function serveNoting(): Promise<ScriptedRegistry & { readonly froms: readonly number[] }> {
  const froms: number[] = [];
  const registry = await serveImage(
    image,
    ofLayer((_response, { from }) => {
      froms.push(from);
      return false;
    }),
  );
  return Object.assign(registry, { froms });
}

test("documents that a proxy compresses are what they were", { skip }, async () => {
  await using registry = await serveImage(image, (request, response) => {
    const body = image.blobs.get(digestIn(request) ?? image.manifest.digest)!;
    const coded = gzipSync(body);
    response.writeHead(200, {
      "content-type": image.manifest.mediaType,
      "content-encoding": "gzip",
      "content-length": coded.length,
      "docker-content-digest": digestIn(request) ?? image.manifest.digest,
    });
    response.end(request.method === "HEAD" ? undefined : coded);
    return true;
  });
  await broughtIn(image, { home, registry: registry.host });
});

test("attempts without progress are bounded, whatever trickles in between", { skip }, async () => {
  const crumbs: LayerHandler = (response, { from }) => breakAfter(response, from, from + 100);
  await using registry = await serveImage(image, ofLayer(crumbs));
  await assert.rejects(broughtIn(image, { home, registry: registry.host }), {
    code: "UNAVAILABLE",
    message: /broke off|ended early/,
  });
  assert.ok(layerAsks(registry) < 20, `${layerAsks(registry)} questions`);
});

test("a layer whose connection breaks often is opened, and hashed, once", { skip }, async (t) => {
  const content = await freshContent(home);
  const opened = t.mock.method(content, "writer");
  await using registry = await serveImage(
    image,
    ofLayer((response, { from }) => breakAfter(response, from, from + 20 * 1024)),
  );
  await broughtIn(image, { home, registry: registry.host, content });
  assert.ok(layerAsks(registry) > 10);
  assert.equal(opened.mock.callCount(), 1);
});

test("an ingest that is taken away meanwhile is begun anew", { skip }, async () => {
  const content = await freshContent(home);
  await using mirror = await serveImage(
    image,
    ofLayer((response, { nth, from }) => {
      if (nth === 1) return breakAfter(response, 0, half());
      const ref = `layer-${image.layer}`;
      return void content
        .abort(namespace, ref, { evenWhileWritten: true })
        .then(() => part(response, from, `bytes ${from}-${layer.length - 1}/${layer.length}`));
    }),
  );
  await using registry = await serveNoting();
  const { froms } = registry;
  const hosts = { registry: registry.host, mirrors: [mirror.host] };
  await broughtIn(image, { home, ...hosts, content });
  assert.deepEqual(froms, [0]);
});

test("what somebody else brought between two attempts is not asked for again", {
  skip,
}, async () => {
  const content = await freshContent(home);
  await using registry = await serveImage(
    image,
    ofLayer((response, { nth }) => {
      if (nth > 1) return false;
      void (async () => {
        await using other = await content.writer(namespace, "other", {});
        await other.write(layer, { signal: AbortSignal.timeout(240_000) });
        const labels = { [`containerd.io/distribution.source.${registry.host}`]: "another/x" };
        await other.commit({ expected: image.layer as Digest, labels });
        breakAfter(response, 0, half());
      })();
      return true;
    }),
  );
  await broughtIn(image, { home, registry: registry.host, content });
  assert.equal(layerAsks(registry), 1);
});

test("a layer that stalls after progress is asked for once more", { skip }, async () => {
  const stalling: LayerHandler = (response, { nth }) => {
    if (nth > 1) return false;
    response.writeHead(200, { "content-length": layer.length });
    response.write(layer.subarray(0, half()));
    return true;
  };
  await using registry = await serveImage(image, ofLayer(stalling));
  await broughtIn(image, { home, registry: registry.host, progressMs: 1_000 });
  assert.equal(layerAsks(registry), 2);
});

test("what a mirror began goes on at the registry", { skip }, async () => {
  await using mirror = await serveImage(
    image,
    ofLayer((response, { nth }) =>
      nth === 1 ? breakAfter(response, 0, half()) : void response.destroy(),
    ),
  );
  await using registry = await serveNoting();
  const { froms } = registry;
  await broughtIn(image, { home, registry: registry.host, mirrors: [mirror.host] });
  assert.equal(froms.length, 1);
  assert.ok((froms[0] ?? 0) > 0, "with a range");
});

test("wrong bytes among others begin anew, and without the mirror", { skip }, async () => {
  const wrong = Buffer.from(layer);
  wrong.writeUInt8((wrong[10] ?? 0) ^ 1, 10);
  await using mirror = await serveImage(
    image,
    ofLayer((response, { nth }) => {
      if (nth > 1) return void response.destroy();
      response.writeHead(200, { "content-length": wrong.length });
      response.write(wrong.subarray(0, half()), () => response.destroy());
    }),
  );
  await using registry = await serveImage(image);
  await broughtIn(image, { home, registry: registry.host, mirrors: [mirror.host] });
  assert.equal(layerAsks(registry), 2);
});

test("what an earlier pull left is gone on with, and begun anew where it is damaged", {
  skip,
}, async () => {
  for (const damage of [0, 1]) {
    const content = await freshContent(home);
    const froms: number[] = [];
    await using registry = await serveImage(
      image,
      ofLayer((_response, { from }) => {
        froms.push(from);
        return false;
      }),
    );
    {
      const source = registry.host;
      await using left = await content.writer(namespace, `layer-${image.layer}`, { source });
      const bytes = Buffer.from(layer.subarray(0, half()));
      bytes.writeUInt8((bytes[5] ?? 0) ^ damage, 5);
      await left.write(bytes, { signal: AbortSignal.timeout(240_000) });
    }
    await broughtIn(image, { home, registry: registry.host, content });
    assert.deepEqual(froms, damage ? [half(), 0] : [half()]);
  }
});

test("after a kill -9 in the middle of a layer the next pull goes on where the file ends", {
  skip,
}, async () => {
  const large = await scriptedImage(await home.folder("large"), "large", 4096);
  const bytes = large.blobs.get(large.layer)!;
  const root = await home.folder("killed");
  const froms: number[] = [];
  const sent = Promise.withResolvers<void>();
  await using registry = await serveImage(large, (request, response) => {
    if (request.method !== "GET" || digestIn(request) !== large.layer) return false;
    froms.push(Number(/\d+/.exec(request.headers.range ?? "")?.[0] ?? 0));
    if (froms.length > 1) return false;
    response.writeHead(200, { "content-length": bytes.length });
    response.write(bytes.subarray(0, (bytes.length * 3) / 4), () => sent.resolve());
    return true;
  });
  const child = spawn(process.execPath, [pullChild, root, registry.host], { stdio: "inherit" });
  await sent.promise;
  const ingests = path.join(root, "content/ingest");
  // More than the manifest and the config, which are written beside the layer.
  const least = 1024 * 1024;
  await until("some of the layer is on the disk", async () => (await filesIn(ingests)) >= least);
  child.kill("SIGKILL");
  await once(child, "exit");
  const { images } = await openLibrary(root);
  const pulled = await images.pull(`${registry.host}/a/b:v1`, {
    signal: AbortSignal.timeout(240_000),
  });
  assert.equal(pulled.id, large.id);
  assert.equal(froms.length, 2);
  assert.ok((froms[1] ?? 0) >= least, `from ${froms[1]}`);
});

const pullChild = fileURLToPath(new URL("pull-child.ts", import.meta.url));

/** How many bytes of data the unfinished writes have. */
async function filesIn(ingests: string): Promise<number> {
  const names = await readdir(ingests);
  const sizes = names.map(async (name) => (await stat(path.join(ingests, name, "data"))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

// Redirects to stores whose addresses are signed for a time.

/** A registry that signs addresses of a store, and the store, which takes each signature for `uses` questions. */
async function signing(
  uses: (signature: number) => number,
  refusal: number,
  broken: LayerHandler = () => false,
): Promise<AsyncDisposable & { registry: ScriptedRegistry; store: ScriptedRegistry }> {
  await using stack = new AsyncDisposableStack();
  const used = new Map<string, number>();
  const broken1 = ofLayer(broken);
  const store = stack.use(
    await serveImage(image, (request, response) => {
      assert.equal(request.headers.authorization, undefined);
      const signature = new URL(request.url ?? "", "http://x").searchParams.get("sig") ?? "";
      used.set(signature, (used.get(signature) ?? 0) + 1);
      if ((used.get(signature) ?? 0) <= uses(Number(signature))) return broken1(request, response);
      response.writeHead(refusal).end("<Error><Code>AccessDenied</Code></Error>");
      return true;
    }),
  );
  let signature = 0;
  const login = guard(basic("me:pw"), "Basic");
  const registry = stack.use(
    await serveImage(image, (request, response) => {
      if (login(request, response)) return true;
      if (!request.url?.includes("/blobs/")) return false;
      signature += 1;
      const location = `http://${store.host}/x/${digestIn(request)}?sig=${signature}`;
      response.writeHead(307, { location }).end();
      return true;
    }),
  );
  const kept = stack.move();
  return { registry, store, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}

const auth = { username: "me", password: "pw" };

for (const refusal of [400, 401, 403, 404, 410]) {
  test(`an address that is refused with ${refusal} is asked for anew`, { skip }, async () => {
    // The first is the config's, the third the layer's.
    await using hosts = await signing((signature) => (signature % 2 === 1 ? 0 : 1), refusal);
    await broughtIn(image, { home, registry: hosts.registry.host, auth });
  });
}

test("a signature that is over in the middle of a layer is asked for anew", { skip }, async () => {
  const breaking: LayerHandler = (response, { nth, from }) =>
    nth > 6 ? false : breakAfter(response, from, from + 20 * 1024);
  await using hosts = await signing(() => 1, 403, breaking);
  await broughtIn(image, { home, registry: hosts.registry.host, auth });
});

test("a store that refuses for good is told with the registry that led to it", {
  skip,
}, async () => {
  await using hosts = await signing(() => 0, 403);
  const { registry, store } = hosts;
  await assert.rejects(broughtIn(image, { home, registry: registry.host, auth }), {
    code: "PERMISSION_DENIED",
    message: new RegExp(
      `^cannot pull "${registry.host}/a/b:v1" from "${registry.host}", redirected to "${store.host}": access denied`,
    ),
  });
  assert.ok(store.heard.length < 20, `${store.heard.length} questions`);
});

test("a redirect without a host is followed", { skip }, async () => {
  await using registry = await serveImage(image, (request, response) => {
    if (!request.url?.includes("/blobs/") || request.url.includes("moved")) return false;
    const location = `../moved/../moved/${digestIn(request)}?x=1`;
    response.writeHead(302, { location }).end();
    return true;
  });
  await broughtIn(image, { home, registry: registry.host });
});

// Several pulls of one layer.

test("a pull that is given up leaves what it has to one that waits for the same layer", {
  skip,
}, async () => {
  const content: ContentStore = await freshContent(home);
  const froms: [string, number][] = [];
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  await using registry = await serveImage(
    image,
    ofLayer((response, { nth, from, request }) => {
      froms.push([request.url?.includes("/first/") ? "first" : "second", from]);
      if (nth > 1) return false;
      response.writeHead(200, { "content-length": layer.length });
      response.write(layer.subarray(0, half()), () => setTimeout(begin, 100));
      return true;
    }),
  );
  const common = { home, registry: registry.host, content };
  const abort = new AbortController();
  const first = broughtIn(image, { ...common, repository: "first/x", signal: abort.signal });
  await begun;
  const second = broughtIn(image, { ...common, repository: "second/x" });
  setTimeout(() => abort.abort(new Error("given up")), 300);
  await assert.rejects(first, /given up/);
  await second;
  assert.deepEqual(froms, [
    ["first", 0],
    ["second", half()],
  ]);
});
