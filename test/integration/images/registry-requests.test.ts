// SPDX-License-Identifier: Apache-2.0
// Every request of a pull against every way to refuse it: what passes is waited for, HEAD is not needed, and what is
// refused for good says so at once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { RuntimeFault } from "../../../src/base/errors.ts";
import type { Digest } from "../../../src/content/ports.ts";
import { openClient, quickPatience } from "../../support/registry-client.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  digestIn,
  type Handler,
  type ScriptedImage,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";

const call = () => ({ signal: AbortSignal.timeout(240_000) });

let home: Scratch;
let image: ScriptedImage;

before(async () => {
  home = await scratch({ prefix: "requests" });
  image = await scriptedImage(await home.folder("layout"), "requests");
});

after(async () => home?.[Symbol.asyncDispose]());

/** What is asked of a registry in a pull, as a registry sees it. */
const kinds = ["token", "head", "manifest", "config", "layer"] as const;
type Kind = (typeof kinds)[number];

function kindOf(method: string, url: string): Kind {
  if (url.startsWith("/token")) return "token";
  if (url.includes("/manifests/")) return method === "HEAD" ? "head" : "manifest";
  return url.includes(image.id) ? "config" : "layer";
}

/** Wants a token, and gives one. */
const withTokens: Handler = (request, response) => {
  if (request.url?.startsWith("/token")) {
    response.end('{"token":"t0ken"}');
    return true;
  }
  if (request.headers.authorization === "Bearer t0ken") return false;
  const realm = `Bearer realm="http://${request.headers.host}/token",service="s"`;
  response.writeHead(401, { "www-authenticate": realm }).end();
  return true;
};

/** Answers some of the requests of a kind by itself; `times` counts them. */
function failing(
  kind: Kind,
  isFailing: (at: number) => boolean,
  fail: Handler,
  asked: Kind[],
): Handler {
  let at = 0;
  return (request, response) => {
    const found = kindOf(request.method ?? "", request.url ?? "");
    const wantsLogin = kind !== "token" && request.headers.authorization === undefined;
    if (!wantsLogin || found === "token") asked.push(found);
    if (found === kind && !wantsLogin) {
      at += 1;
      if (isFailing(at)) return fail(request, response);
    }
    return withTokens(request, response);
  };
}

/** What a pull asks for, without the store. */
async function pullFrom(host: string, hostsToml?: string): Promise<void> {
  using client = await openClient(`${host}/a/b:c`, hostsToml === undefined ? {} : { hostsToml });
  const target = await client.resolve(call());
  assert.equal(target.digest, image.manifest.digest);
  assert.equal(target.mediaType, image.manifest.mediaType);
  await client.document(target, call());
  const config = image.blobs.get(image.id) ?? Buffer.alloc(0);
  const descriptor = {
    digest: image.id as Digest,
    size: config.length,
    mediaType: "application/vnd.oci.image.config.v1+json",
    annotations: {},
  };
  assert.ok((await client.document(descriptor, call())).equals(config));
  await client.assertReadable(image.layer as Digest, call());
}

const status =
  (code: number, headers: Record<string, string> = {}): Handler =>
  (_request, response) => {
    response.writeHead(code, headers).end('{"errors":[{"code":"ODD","message":"not now"}]}');
    return true;
  };
const reset: Handler = (request) => {
  request.socket.resetAndDestroy();
  return true;
};
const hangUp: Handler = (request) => {
  request.socket.end();
  return true;
};
const half: Handler = (request, response) => {
  if (request.method === "HEAD") return reset(request, response);
  response.writeHead(200, { "content-length": 100_000 });
  response.write("{", () => response.destroy());
  return true;
};

const passing: readonly (readonly [string, Handler])[] = [
  ...[408, 425, 429, 500, 502, 503, 504, 507, 520, 529, 599].map(
    (code) => [`${code}`, status(code)] as const,
  ),
  ["503 that says to come back at once", status(503, { "retry-after": "0" })],
  ["a reset connection", reset],
  ["a connection that is hung up", hangUp],
  ["an answer that breaks off", half],
];

for (const kind of kinds) {
  for (const [what, fail] of passing) {
    test(`${what} for a ${kind} twice is no error`, async () => {
      const asked: Kind[] = [];
      await using registry = await serveImage(
        image,
        failing(kind, (at) => at <= 2, fail, asked),
      );
      await pullFrom(registry.host);
    });

    if (kind === "head" || kind === "layer") continue; // there a GET decides
    test(`${what} for a ${kind} for ever is told after five attempts`, async () => {
      const asked: Kind[] = [];
      await using registry = await serveImage(
        image,
        failing(kind, () => true, fail, asked),
      );
      // Else nobody asks for it, since HEAD has said all.
      await assert.rejects(pullFrom(registry.host), (error) => {
        assert.ok(error instanceof RuntimeFault);
        assert.equal(error.code, "UNAVAILABLE");
        assert.match(error.message, /a\/b/);
        assert.ok(error.message.includes(registry.host), error.message);
        assert.match(error.message, /\(5 attempts\)$/);
        if (/^\d/.test(what)) assert.match(error.message, /ODD: not now/);
        return true;
      });
      // One more where a connection that was kept is taken for dead.
      const times = asked.filter((one) => one === kind).length;
      assert.ok(
        times >= 5 && (times === 5 || (times <= 11 && !/^\d/.test(what))),
        `${times} times`,
      );
    });
  }
}

const refusals = [
  400, 401, 402, 403, 404, 405, 406, 409, 410, 412, 413, 415, 418, 431, 451, 501, 505,
];
const codes: Readonly<Record<number, string>> = {
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  501: "UNAVAILABLE",
  505: "UNAVAILABLE",
};

for (const code of [...refusals, 429, 500, 503]) {
  test(`HEAD that is always answered ${code} leaves it to GET`, async () => {
    await using registry = await serveImage(image, (request, response) => {
      if (request.method === "HEAD") return status(code)(request, response);
      return withTokens(request, response);
    });
    await pullFrom(registry.host);
    assert.ok(registry.heard.length < 12, `${registry.heard.length} requests`);
  });
}

for (const [what, fail] of passing.slice(-3)) {
  test(`${what} for every HEAD leaves it to GET`, async () => {
    await using registry = await serveImage(image, (request, response) =>
      request.method === "HEAD" ? fail(request, response) : false,
    );
    await pullFrom(registry.host);
  });
}

for (const kind of ["manifest", "config"] as const) {
  for (const code of refusals) {
    test(`${code} for a ${kind} is told at once`, async () => {
      const asked: Kind[] = [];
      await using registry = await serveImage(
        image,
        failing(kind, () => true, status(code), asked),
      );
      await assert.rejects(pullFrom(registry.host), {
        code: codes[code] ?? "UNKNOWN",
        message: /a\/b.*ODD: not now/,
      });
      assert.equal(asked.filter((one) => one === kind).length, 1);
    });
  }
}

test("a store that signs GET alone is no hindrance", async () => {
  await using store = await serveImage(image, (request, response) =>
    request.method === "HEAD" ? status(403)(request, response) : false,
  );
  await using registry = await serveImage(image, (_request, response) => {
    response.writeHead(307, { location: `http://${store.host}${_request.url}` }).end();
    return true;
  });
  await pullFrom(registry.host);
});

test("a mirror that is busy gives way at once, and what each host said is told", async () => {
  await using mirror = await serveImage(image, status(503));
  await using other = await serveImage(image, status(404));
  await using registry = await serveImage(image);
  await pullFrom(registry.host, `[host."http://${mirror.host}"]`);
  const before = mirror.heard.length;
  const toml = `[host."http://${mirror.host}"]`;
  await assert.rejects(pullFrom(other.host, toml), (error: Error) => {
    for (const said of [other.host, mirror.host, "not found", "status 503"]) {
      assert.ok(error.message.includes(said), `${said} in ${error.message}`);
    }
    return true;
  });
  assert.ok(mirror.heard.length - before <= 2, "who says no is not asked again for another's sake");
});

test("a server that wants a long rest is given up at once, and says when", async () => {
  await using registry = await serveImage(image, status(429, { "retry-after": "7200" }));
  await assert.rejects(pullFrom(registry.host), {
    code: "UNAVAILABLE",
    message: /status 429 \(it wants to be asked again in 120 minutes\)$/,
  });
  assert.equal(registry.heard.length, 1);
});

test("waits are as long as a server asks, and together no longer than we wait", async () => {
  await using registry = await serveImage(image, status(429, { "retry-after": "0.3" }));
  const patience = { ...quickPatience, totalWaitMs: 400 };
  using client = await openClient(`${registry.host}/a/b:c`, { patience });
  await assert.rejects(client.resolve(call()), /status 429.*\(2 attempts\)$/);
});

test("a rest ends with who waits for it", async () => {
  await using registry = await serveImage(image, status(503, { "retry-after": "30" }));
  using client = await openClient(`${registry.host}/a/b:c`);
  const abort = new AbortController();
  const pull = client.resolve({ signal: abort.signal });
  setTimeout(() => abort.abort(), 50);
  await assert.rejects(pull, { name: "AbortError" });
});

test("connections that died while they were kept cost no attempt", async () => {
  const sockets = new Set<unknown>();
  let killed = 0;
  await using registry = await serveImage(image, (request) => {
    const isKept = sockets.has(request.socket);
    sockets.add(request.socket);
    if (!isKept || killed > 0) return false;
    // As a server that has just had enough of an idle connection.
    killed += 1;
    request.socket.resetAndDestroy();
    return true;
  });
  const patience = { ...quickPatience, attempts: 1 };
  using client = await openClient(`${registry.host}/a/b:c`, { patience });
  const target = await client.resolve(call());
  await client.document(target, call());
  assert.equal(killed, 1);
});

test("one connection serves requests that come one after the other", async () => {
  const sockets = new Set<unknown>();
  await using registry = await serveImage(image, (request, response) => {
    // Without one Node takes the answer to a HEAD for the connection's last.
    if (request.method === "HEAD") response.setHeader("content-length", 0);
    sockets.add(request.socket);
    return withTokens(request, response);
  });
  await pullFrom(registry.host);
  assert.equal(sockets.size, 1);
});

test("a host that was there and is restarted is waited for, one that never was is not", async () => {
  const registry = await serveImage(image);
  using client = await openClient(`${registry.host}/a/b:c`);
  const target = await client.resolve(call());
  await registry[Symbol.asyncDispose]();
  await assert.rejects(client.document(target, call()), /ECONNREFUSED.*\(5 attempts\)$/);
  using stranger = await openClient(`${registry.host}/a/b:c`);
  await assert.rejects(stranger.resolve(call()), /connection refused \(ECONNREFUSED\)$/);
});

test("headers may be as long as real servers make them", async () => {
  await using registry = await serveImage(image, (_request, response) => {
    response.setHeader("content-security-policy", "x".repeat(32_000));
    response.setHeader(
      "set-cookie",
      Array.from({ length: 8 }, () => "y".repeat(4_000)),
    );
  });
  await pullFrom(registry.host);
});

/** Answers as they stand there, with the body that is asked for. */
const verbatim =
  (head: (length: number) => readonly string[], isChunked: boolean, end = "\r\n"): Handler =>
  (request, response) => {
    const body = image.blobs.get(digestIn(request) ?? image.manifest.digest) ?? Buffer.alloc(0);
    const chunk = Buffer.concat([
      Buffer.from(`${body.length.toString(16)}\r\n`),
      body,
      Buffer.from("\r\n0\r\n\r\n"),
    ]);
    const lines = ["HTTP/1.1 200 OK", `Content-Type: ${image.manifest.mediaType}`];
    const headers = [...lines, ...head(body.length), "", ""].join(end);
    const rest = isChunked ? chunk : body;
    response.socket?.write(
      request.method === "HEAD" ? headers : Buffer.concat([Buffer.from(headers), rest]),
    );
    return true;
  };
const chunked = "Transfer-Encoding: chunked";
const plainLength = (length: number): string[] => [`Content-Length: ${length}`];
const control = (length: number): string[] => ["X-Odd: a\u0001b", ...plainLength(length)];

for (const [what, handler] of [
  ["a length before chunks", verbatim((length) => [...plainLength(length), chunked], true)],
  ["a length behind chunks", verbatim((length) => [chunked, ...plainLength(length)], true)],
  ["a length of nothing beside chunks", verbatim(() => [chunked, "Content-Length: 0"], true)],
  ["a line feed alone at the end of a line", verbatim(plainLength, false, "\n")],
  ["a control character in a header", verbatim(control, false)],
] satisfies readonly (readonly [string, Handler])[]) {
  test(`${what} is no hindrance, and its connection serves once`, async () => {
    const sockets: unknown[] = [];
    await using registry = await serveImage(image, (request, response) => {
      sockets.push(request.socket);
      return handler(request, response);
    });
    await pullFrom(registry.host);
    assert.equal(new Set(sockets).size, sockets.length);
  });
}

for (const [what, lines] of [
  ["a length beside an encoding of unknown end", ["Content-Length: 5", "Transfer-Encoding: gzip"]],
  ["two lengths", ["Content-Length: 5", "Content-Length: 6"]],
] satisfies readonly (readonly [string, readonly string[]])[]) {
  test(`${what} is refused`, async () => {
    await using registry = await serveImage(
      image,
      verbatim(() => lines, false),
    );
    await assert.rejects(pullFrom(registry.host), {
      code: "UNAVAILABLE",
      message: /not clear where its answers end|no proper HTTP/,
    });
    assert.ok(registry.heard.length <= 2);
  });
}

const types: readonly (string | undefined)[] = [
  undefined,
  "",
  "application/json",
  "application/octet-stream",
  "text/plain",
  "APPLICATION/JSON; charset=utf-8",
];

for (const type of types) {
  test(`a manifest of type ${JSON.stringify(type)} is what it says itself`, async () => {
    await using registry = await serveImage(image, (request, response) => {
      if (!request.url?.includes("/manifests/")) return false;
      const bytes = image.blobs.get(image.manifest.digest);
      if (type !== undefined) response.setHeader("content-type", type);
      response.setHeader("docker-content-digest", image.manifest.digest);
      response.end(request.method === "HEAD" ? undefined : bytes);
      return true;
    });
    await pullFrom(registry.host);
  });
}

for (const spell of [
  (type: string) => type.toUpperCase(),
  (type: string) => `${type}; charset=utf-8`,
  (type: string) => ` ${type} ;q=1`,
]) {
  test(`a manifest of type ${spell("application/x")} needs HEAD alone`, async () => {
    await using registry = await serveImage(image, (request, response) => {
      if (!request.url?.endsWith("/manifests/c")) return false;
      response.setHeader("content-type", spell(image.manifest.mediaType));
      response.setHeader("docker-content-digest", image.manifest.digest);
      response.setHeader("content-length", image.blobs.get(image.manifest.digest)?.length ?? 0);
      response.end();
      return true;
    });
    await pullFrom(registry.host);
  });
}

for (const name of ["docker-content-digest", "content-length"]) {
  test(`HEAD without ${name} leaves it to GET`, async () => {
    await using registry = await serveImage(image, (request, response) => {
      if (request.method !== "HEAD" || digestIn(request)) return false;
      const headers: Record<string, string | number> = {
        "content-type": image.manifest.mediaType,
        "docker-content-digest": image.manifest.digest,
        "content-length": image.blobs.get(image.manifest.digest)?.length ?? 0,
      };
      delete headers[name];
      response.writeHead(200, headers).end();
      return true;
    });
    await pullFrom(registry.host);
  });
}
