// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { Digest } from "../../../src/content/ports.ts";
import type { RegistrySource } from "../../../src/images/registry/registry-source.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  digestIn,
  type Handler,
  type ScriptedImage,
  type ScriptedRegistry,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { broughtIn } from "./brought-in-content.ts";

// What hosts send in place of an image's documents and layers, and how a pull gets them all the same: from the same
// host, from the next one, or not, with an error that names the image, each host, and what it said.

const skip = process.getuid?.() === 0 ? false : "needs root";
/** For hosts that stand still. Others have more time than a busy machine takes. */
const stallMs = 1_000;
const progressMs = 20_000;

let home: Scratch;
let image: ScriptedImage;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "cof" });
  image = await scriptedImage(await home.folder("image"), "asked for");
});

after(async () => home?.[Symbol.asyncDispose]());

interface Fault {
  readonly what: string;
  /** Answers a GET of these bytes. */
  readonly answer: (response: ServerResponse, bytes: Buffer, request: IncomingMessage) => void;
  /** What the error says of the host. */
  readonly says: RegExp;
  readonly limitMs?: number;
}

const html = Buffer.from(`<!doctype html><title>Log in</title>${"<p>to this network".repeat(40)}`);

const faults: readonly Fault[] = [
  {
    what: "other bytes of the same length",
    answer: (response, bytes) => {
      const other = Buffer.from(bytes);
      other.writeUInt8((other.at(-1) ?? 0) ^ 1, other.length - 1);
      response.writeHead(200, { "content-length": other.length }).end(other);
    },
    says: /arrived with digest sha256:/,
  },
  {
    what: "less than the whole, with its length",
    answer: (response, bytes) =>
      response.writeHead(200, { "content-length": 100 }).end(bytes.subarray(0, 100)),
    says: /has 100 bytes|ends after 100 bytes|digest sha256/,
  },
  {
    what: "less than the whole, in chunks",
    answer: (response, bytes) => response.writeHead(200).end(bytes.subarray(0, -1)),
    says: /ends after \d+ bytes|has \d+ bytes|digest sha256/,
  },
  {
    what: "more than the whole, with its length",
    answer: (response, bytes) =>
      response
        .writeHead(200, { "content-length": bytes.length + 5 })
        .end(Buffer.concat([bytes, Buffer.alloc(5)])),
    says: /longer than|has \d+ bytes/,
  },
  {
    what: "more than the whole, in chunks",
    answer: (response, bytes) =>
      response.writeHead(200).end(Buffer.concat([bytes, Buffer.alloc(5)])),
    says: /longer than/,
  },
  {
    what: "nothing, with its length",
    answer: (response) => response.writeHead(200, { "content-length": 0 }).end(),
    says: /has 0 bytes|digest sha256/,
  },
  {
    what: "nothing, in chunks",
    answer: (response) => {
      response.writeHead(200).flushHeaders();
      response.end();
    },
    says: /ends after 0 bytes|has 0 bytes|digest sha256/,
  },
  {
    what: "204",
    answer: (response) => response.writeHead(204).end(),
    says: /0 bytes|status 204|digest sha256/,
  },
  {
    what: "a page, with its length",
    answer: (response) =>
      response
        .writeHead(200, { "content-type": "text/html", "content-length": html.length })
        .end(html),
    says: /bytes|digest sha256/,
  },
  {
    what: "a page, in chunks",
    answer: (response) => response.writeHead(200, { "content-type": "text/html" }).end(html),
    says: /bytes|digest sha256/,
  },
  {
    what: "a page until the connection ends",
    answer: ({ socket }) =>
      void socket?.end(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n${String(html)}`),
    says: /bytes|digest sha256/,
  },
  {
    what: "an error in JSON with 200",
    answer: (response) =>
      response
        .writeHead(200, { "content-type": "application/json" })
        .end('{"errors":[{"code":"UNKNOWN"}]}'),
    says: /bytes|digest sha256/,
  },
  {
    what: "what is not compressed as it says",
    answer: (response, bytes) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(Buffer.from(bytes).fill("x")),
    says: /not compressed as/,
  },
  {
    what: "compressed other bytes",
    answer: (response) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(html)),
    says: /bytes|digest sha256/,
  },
  {
    what: "a part that was not asked for",
    answer: (response, bytes) =>
      response
        .writeHead(206, { "content-range": `bytes 7-${bytes.length - 1}/${bytes.length}` })
        .end(bytes.subarray(7)),
    says: /another part|bytes|digest sha256/,
  },
  {
    what: "a part of something else",
    answer: (response, bytes) =>
      response.writeHead(206, { "content-range": "bytes 0-9/10" }).end(bytes.subarray(0, 10)),
    says: /another part|bytes|digest sha256/,
  },
  {
    what: "no answer",
    answer: () => {},
    says: /did not answer within 1 s|no progress for 1 s/,
    limitMs: stallMs,
  },
  {
    what: "headers and no more",
    answer: (response, bytes) =>
      response.writeHead(200, { "content-length": bytes.length }).flushHeaders(),
    says: /no progress for 1 s/,
    limitMs: stallMs,
  },
  {
    what: "half of it and no more",
    answer: (response, bytes) => {
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, bytes.length / 2));
    },
    says: /no progress for 1 s/,
    limitMs: stallMs,
  },
  {
    what: "a byte now and then",
    answer: (response, bytes) => {
      response.writeHead(200, { "content-length": bytes.length });
      let at = 0;
      const timer = setInterval(() => response.write(bytes.subarray(at, (at += 1))), 20);
      response.on("close", () => clearInterval(timer));
    },
    says: /no progress for 1 s/,
    limitMs: stallMs,
  },
  {
    what: "half of it again and again, and breaks off",
    answer: (response, bytes) => {
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
    },
    says: /broke|ended early/,
  },
  {
    what: "a connection that ends at once",
    answer: (response) => void response.destroy(),
    says: /cannot reach|broke/,
  },
  ...[400, 403, 404, 410, 429, 500, 502, 503, 504].map((status) => ({
    what: `status ${status}`,
    answer: (response: ServerResponse) => response.writeHead(status).end("<html>"),
    says: status === 403 ? /access denied/ : status === 404 ? /not found/ : /status \d+/,
  })),
];

/** Whether a request is a GET of a manifest, the config or the layer. */
const isFor = { manifest: "/manifests/", config: () => image.id, layer: () => image.layer };
const kinds = ["manifest", "config", "layer"] as const;

const faulty =
  (kind: (typeof kinds)[number], { answer }: Fault): Handler =>
  (request, response) => {
    const marks = isFor[kind];
    const mark = typeof marks === "string" ? marks : marks();
    if (request.method !== "GET" || !request.url?.includes(mark)) return false;
    answer(response, image.blobs.get(digestIn(request) ?? image.manifest.digest)!, request);
    return true;
  };

const together = { concurrency: 12, skip };

suite("a mirror is passed over where it answers", together, () => {
  for (const kind of kinds) {
    for (const fault of faults) {
      test(`in place of the ${kind}: ${fault.what}`, async () => {
        await using mirror = await serveImage(image, faulty(kind, fault));
        await using registry = await serveImage(image);
        await broughtIn(image, {
          home,
          registry: registry.host,
          mirrors: [mirror.host],
          progressMs: fault.limitMs ?? progressMs,
        });
        assert.ok(asked(mirror) > 0 && asked(registry) > 0);
      });
    }
  }
});

suite("the error names image, hosts, and what each said", together, () => {
  for (const kind of kinds) {
    for (const fault of faults) {
      test(`in place of the ${kind}: ${fault.what}`, async () => {
        await using mirror = await serveImage(image, faulty(kind, fault));
        await using registry = await serveImage(image, faulty(kind, fault));
        const { message } = await failure(
          broughtIn(image, {
            home,
            registry: registry.host,
            mirrors: [mirror.host],
            progressMs: fault.limitMs ?? progressMs,
          }),
        );
        const what = `${registry.host}/a/b:v1`;
        const pattern = new RegExp(
          `^cannot pull "${what}" from "${registry.host}": (.*); from "${mirror.host}": (.*)$`,
        );
        const [, ofRegistry = "", ofMirror = ""] = pattern.exec(message) ?? assert.fail(message);
        assert.match(ofRegistry, fault.says, message);
        assert.match(ofMirror, fault.says, message);
        assert.ok(message.length < 2000, message);
      });
    }
  }
});

test("a layer that begins anew after wrong bytes is one of the downloads at once", {
  skip,
}, async () => {
  const [wrong] = faults;
  await using mirror = await serveImage(image, faulty("layer", wrong!));
  const { promise: found, resolve: isFound } = Promise.withResolvers<RegistrySource>();
  let early: number | undefined;
  const blobsOf = (id: string): number =>
    mirror.heard.filter((said) => said.startsWith("GET") && said.includes(id)).length;
  await using registry = await serveImage(image, (request, response) => {
    if (digestIn(request) !== image.layer) return false;
    void found.then(async (source) => {
      const before = blobsOf(image.id);
      const size = image.blobs.get(image.id)!.length;
      const config = { mediaType: "", digest: image.id as Digest, size, annotations: {} };
      const abort = new AbortController();
      const other = source.fetch(config, { signal: abort.signal }).catch(() => {});
      await sleep(300);
      early = blobsOf(image.id) - before;
      abort.abort();
      await other;
      response.end(image.blobs.get(image.layer));
    });
    return true;
  });
  const hosts = { registry: registry.host, mirrors: [mirror.host] };
  await broughtIn(image, { home, ...hosts, maxConcurrentDownloads: 1, onSource: isFound });
  assert.equal(early, 0, "the other one waits");
});

const asked = ({ heard }: ScriptedRegistry): number => heard.length;

async function failure(work: Promise<unknown>): Promise<Error> {
  const error: unknown = await work.then(
    () => assert.fail("it succeeded"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error);
  return error;
}
