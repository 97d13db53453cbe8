// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import path from "node:path";
import { after, before, test } from "node:test";
import type { RegistryAuth } from "../../../src/images/ports.ts";
import { findProgram } from "../../support/lacking.ts";
import { must } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  basic,
  digestIn,
  guard,
  type Handler,
  type ScriptedImage,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { type Library, openLibrary } from "./library.ts";

// Registries that lie, spy, flood and stall.

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });
const indexType = "application/vnd.oci.image.index.v1+json";

let home: Scratch;
let image: ScriptedImage;
/** What the registry would have us take instead. */
let other: ScriptedImage;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "hos" });
  image = await scriptedImage(await home.folder("image"), "what was asked for");
  other = await scriptedImage(await home.folder("other"), "what was not");
});

after(async () => home?.[Symbol.asyncDispose]());

let libraries = 0;
/** A library of its own, with a short progress timeout and this hosts.toml for every registry. */
async function library(hosts?: string, progressMs = 30_000, folder = "_default"): Promise<Library> {
  libraries += 1;
  const root = await home.folder(`library ${libraries}`);
  const configPath = path.join(root, "certs.d");
  if (hosts !== undefined) {
    await mkdir(path.join(configPath, folder), { recursive: true });
    await writeFile(path.join(configPath, folder, "hosts.toml"), hosts);
  }
  return openLibrary(path.join(root, "berth"), {
    registry: { configPath },
    config: {
      maxConcurrentDownloads: 3,
      pullProgressTimeoutMs: progressMs,
    },
  });
}

const send = (
  response: ServerResponse,
  body: Buffer,
  headers: Record<string, string> = {},
): true => {
  response.writeHead(200, headers).end(body);
  return true;
};
/** For a handler that answers by one call. */
const ended = (_answered: ServerResponse): true => true;
const digestOf = (bytes: Buffer): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

// What arrives is what was asked for, or nothing.

const lies: readonly { readonly what: string; readonly lie: () => Handler }[] = [
  {
    what: "HEAD is refused and GET answers another manifest",
    lie: () => (request, response) => {
      if (!request.url?.includes("/manifests/")) return false;
      if (request.method === "HEAD") return ended(response.writeHead(405).end());
      return send(response, manifestOf(other), { "content-type": other.manifest.mediaType });
    },
  },
  {
    what: "HEAD tells no type and GET answers another manifest",
    lie: () => (request, response) => {
      if (!request.url?.includes("/manifests/")) return false;
      if (request.method === "HEAD") return ended(response.end());
      return send(response, manifestOf(other), { "content-type": other.manifest.mediaType });
    },
  },
  {
    what: "another manifest comes with the digest that was asked for in its header",
    lie: () => (request, response) => {
      if (!request.url?.includes("/manifests/")) return false;
      const bytes = manifestOf(other);
      response.writeHead(200, {
        "content-type": other.manifest.mediaType,
        "content-length": bytes.length,
        "docker-content-digest": image.manifest.digest,
      });
      return ended(response.end(request.method === "HEAD" ? undefined : bytes));
    },
  },
  {
    what: "the config is another image's",
    lie: () => (request, response) =>
      digestIn(request) === image.id && send(response, other.blobs.get(other.id)!),
  },
  {
    what: "the layer is another image's",
    lie: () => (request, response) =>
      digestIn(request) === image.layer && send(response, other.blobs.get(other.layer)!),
  },
  {
    what: "the layer goes on after its end",
    lie: () => (request, response) =>
      digestIn(request) === image.layer &&
      send(response, Buffer.concat([image.blobs.get(image.layer)!, Buffer.alloc(1 << 20)])),
  },
];

const manifestOf = ({ blobs, manifest }: ScriptedImage): Buffer => blobs.get(manifest.digest)!;

for (const { what, lie } of lies) {
  test(`a pinned image is refused when ${what}`, { skip }, async () => {
    const both = { ...image, blobs: new Map([...other.blobs, ...image.blobs]) };
    await using registry = await serveImage(both, lie());
    const { images } = await library();
    const pull = images.pull(`${registry.host}/a/b@${image.manifest.digest}`, call());
    await assert.rejects(pull, { code: "FAILED_PRECONDITION", message: /sha256:/ });
    assert.deepEqual(images.list(), []);
  });

  test(`the next host serves the image when ${what} at a mirror`, { skip }, async () => {
    const both = { ...image, blobs: new Map([...other.blobs, ...image.blobs]) };
    await using mirror = await serveImage(both, lie());
    await using registry = await serveImage(image);
    const { images } = await library(`[host."http://${mirror.host}"]`);
    const pulled = await images.pull(`${registry.host}/a/b@${image.manifest.digest}`, call());
    assert.equal(pulled.id, image.id);
  });
}

for (const blob of ["config", "layer"] as const) {
  test(`a ${blob} that is said to be empty, and is not, is refused at once`, { skip }, async () => {
    const document = JSON.parse(manifestOf(image).toString()) as {
      readonly config: { size: number };
      readonly layers: readonly [{ size: number }];
    };
    (blob === "config" ? document.config : document.layers[0]).size = 0;
    const bytes = Buffer.from(JSON.stringify(document));
    const manifest = { ...image.manifest, digest: digestOf(bytes) };
    const blobs = new Map([...image.blobs, [manifest.digest, bytes]]);
    await using registry = await serveImage({ ...image, manifest, blobs });
    const { images } = await library();
    await assert.rejects(images.pull(`${registry.host}/a/b:c`, call()), {
      code: "FAILED_PRECONDITION",
      message: /sha256:\w+" (is longer than 0 bytes|has \d+ bytes, its descriptor says 0)$/,
    });
    assert.ok(registry.heard.length < 20, String(registry.heard.length));
    assert.deepEqual(images.list(), []);
  });
}

test("an index that is served as a manifest, or says it is one, is refused", { skip }, async () => {
  const child = { ...image.manifest, size: manifestOf(image).length };
  const index = (more: object) =>
    Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [child], ...more }));
  const confused = [
    { body: index({}), type: image.manifest.mediaType },
    { body: index({ mediaType: image.manifest.mediaType }), type: indexType },
    { body: manifestOf(image), type: indexType },
  ];
  for (const { body, type } of confused) {
    await using registry = await serveImage(image, (request, response) => {
      if (!request.url?.includes("/manifests/") || digestIn(request) === child.digest) return false;
      response.writeHead(200, {
        "content-type": type,
        "content-length": body.length,
        "docker-content-digest": digestOf(body),
      });
      return ended(response.end(request.method === "HEAD" ? undefined : body));
    });
    const { images } = await library();
    await assert.rejects(
      images.pull(`${registry.host}/a/${type === indexType ? "i" : "m"}:t`, call()),
      {
        code: "FAILED_PRECONDITION",
      },
    );
  }
});

// Nobody hears a secret that is not meant for him.

const secrets = ["s3cret-password", "s3cret-identity", "s3cret-registry", "s3cret-header"];
const secretForms = [...secrets, ...secrets.map((secret) => basic(`me:${secret}`))];
const someAuth: readonly (readonly [string, RegistryAuth])[] = [
  ["user and password", { username: "me", password: "s3cret-password" }],
  ["auth", { auth: Buffer.from("me:s3cret-password").toString("base64") }],
  ["an identity token", { identityToken: "s3cret-identity" }],
  ["a registry token", { registryToken: "s3cret-registry" }],
];

function assertUnheard(heard: readonly string[]): void {
  const leaked = heard.filter((said) => secretForms.some((secret) => said.includes(secret)));
  assert.deepEqual(leaked, []);
  assert.ok(heard.length > 0, "it was asked");
}

/** Asks for a login by a token of its own, which it hands to anybody, and refuses it then. */
const curious: Handler = (request, response) => {
  if (request.url?.startsWith("/token")) return send(response, Buffer.from('{"token":"anybody"}'));
  const realm = `http://${request.headers.host}/token`;
  const challenge = `Bearer realm="${realm}",service="x", Basic realm="x"`;
  return guard("nobody has this", challenge)(request, response);
};
const curiousBasic = guard("nobody has this", 'Basic realm="x"');

for (const [kind, auth] of someAuth) {
  for (const [scheme, handler] of [
    ["tokens", curious],
    ["basic", curiousBasic],
  ] as const) {
    test(`a mirror that asks for ${scheme} does not get ${kind}`, { skip }, async () => {
      await using mirror = await serveImage(image, handler);
      await using registry = await serveImage(image);
      const { images } = await library(`[host."http://${mirror.host}"]`);
      const pulled = await images.pull(`${registry.host}/a/b`, { ...call(), auth });
      assert.equal(pulled.id, image.id);
      assertUnheard(mirror.heard);
    });
  }
}

test("one server for all registries gets none of their credentials", { skip }, async () => {
  await using proxy = await serveImage(image, curiousBasic);
  const { images } = await library(`server = "http://${proxy.host}"`);
  const [, auth] = someAuth[0]!;
  await assert.rejects(images.pull("some.test/a/b", { ...call(), auth }), {
    code: "UNAUTHENTICATED",
  });
  assertUnheard(proxy.heard);
});

test("a mirror's refusal is told where the registry itself cannot be reached", {
  skip,
}, async () => {
  await using mirror = await serveImage(image, (_request, response) =>
    ended(response.writeHead(403).end()),
  );
  const { images } = await library(
    `server = "http://127.0.0.1:1"\n[host."http://${mirror.host}"]\n`,
  );
  await assert.rejects(images.pull("origin.test/app:v1", call()), {
    code: "PERMISSION_DENIED",
    message: new RegExp(`"${mirror.host}": access denied`),
  });
});

test("credentials that name a mirror are for the mirror alone", { skip }, async () => {
  await using mirror = await serveImage(image, guard(basic("me:s3cret-password"), "Basic"));
  await using registry = await serveImage(image, curiousBasic);
  const { images } = await library(`[host."http://${mirror.host}"]`);
  const auth = { username: "me", password: "s3cret-password", serverAddress: mirror.host };
  const pulled = await images.pull(`${registry.host}/a/b`, { ...call(), auth });
  assert.equal(pulled.id, image.id);
});

/** The registry's own token server, which does as it is told; tokens are good at the registry. */
const tokenServer =
  (token: Handler): Handler =>
  (request, response) => {
    if (request.url?.startsWith("/token")) return token(request, response);
    return guard("Bearer good", `Bearer realm="http://${request.headers.host}/token"`)(
      request,
      response,
    );
  };

const redirectTo =
  (host: () => string, status: number): Handler =>
  (request, response) => {
    response.writeHead(status, { location: `http://${host()}${request.url}` }).end();
    return true;
  };

for (const [kind, auth] of someAuth.slice(0, 3)) {
  for (const status of [301, 302, 303, 307, 308]) {
    test(`${kind} do not follow a ${status} of the token server elsewhere`, { skip }, async () => {
      await using thief = await serveImage(image, (_request, response) =>
        send(response, Buffer.from('{"token":"good"}')),
      );
      const redirect = redirectTo(() => thief.host, status);
      await using registry = await serveImage(
        image,
        tokenServer((request, response) => {
          if (request.method === "POST" || kind === "an identity token")
            return redirect(request, response);
          // Sends those with a password on to POST, too.
          return ended(response.writeHead(405).end());
        }),
      );
      const { images } = await library();
      const pull = images.pull(`${registry.host}/a/b`, { ...call(), auth });
      const refused = status === 307 || status === 308;
      if (refused) await assert.rejects(pull, { code: "FAILED_PRECONDITION" });
      else assert.equal((await pull).id, image.id);
      const leaked = thief.heard.filter((said) => secretForms.some((one) => said.includes(one)));
      assert.deepEqual(leaked, []);
    });
  }
}

test("who a redirect leads to cannot ask for a login", { skip }, async () => {
  await using thief = await serveImage(image, curious);
  const redirect = redirectTo(() => thief.host, 307);
  await using registry = await serveImage(image, (request, response) =>
    digestIn(request) === image.layer ? redirect(request, response) : false,
  );
  const { images } = await library();
  const [, auth] = someAuth[0]!;
  await assert.rejects(images.pull(`${registry.host}/a/b`, { ...call(), auth }), {
    code: "UNAUTHENTICATED",
  });
  assertUnheard(thief.heard);
});

test("the operator's headers are for their host, and not for its redirects", { skip }, async () => {
  await using storage = await serveImage(image);
  const redirect = redirectTo(() => storage.host, 307);
  await using mirror = await serveImage(image, (request, response) => {
    assert.equal(request.headers["x-key"], "s3cret-header");
    return digestIn(request) === image.layer ? redirect(request, response) : false;
  });
  const { images } = await library(
    `[host."http://${mirror.host}"]\n[host."http://${mirror.host}".header]\nX-Key = "s3cret-header"`,
  );
  assert.equal((await images.pull("some.test/a/b", call())).id, image.id);
  assertUnheard(storage.heard);
});

test("addresses that a manifest names for its layers are never asked", { skip }, async () => {
  await using elsewhere = await serveImage(image);
  const [, auth] = someAuth[0]!;
  const manifest = JSON.parse(String(manifestOf(image))) as { layers: Record<string, unknown>[] };
  const urls = [`http://${elsewhere.host}/v2/a/b/blobs/${image.layer}`];
  for (const mediaType of [
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+gzip",
  ]) {
    const layers = manifest.layers.map((layer) => ({ ...layer, mediaType, urls }));
    const bytes = Buffer.from(JSON.stringify({ ...manifest, layers }));
    const digest = digestOf(bytes);
    // The registry itself has no such layer.
    const blobs = new Map([...image.blobs, [digest, bytes]]);
    blobs.delete(image.layer);
    const foreign = { ...image, manifest: { ...image.manifest, digest }, blobs };
    await using registry = await serveImage(foreign);
    const { images } = await library();
    await assert.rejects(images.pull(`${registry.host}/a/b`, { ...call(), auth }), mediaType);
    assert.deepEqual(elsewhere.heard, []);
  }
});

test("what goes over https does not go on over http", { skip }, async (t) => {
  if (!findProgram("openssl")) return t.skip("needs openssl");
  const folder = await home.folder("tls");
  const [key, cert] = [path.join(folder, "key.pem"), path.join(folder, "cert.pem")];
  const request =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 " +
    "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1";
  await must("openssl", [...request.split(" "), "-keyout", key, "-out", cert]);
  const tls = { key: await readFile(key), cert: await readFile(cert) };
  await using plain = await serveImage(image, (request, response) =>
    request.url?.startsWith("/token") ? send(response, Buffer.from('{"token":"good"}')) : false,
  );
  const [, auth] = someAuth[0]!;
  const pull = async (handler: Handler): Promise<string> => {
    await using registry = await serveImage(image, handler, tls);
    const { images } = await library(
      `server = "https://${registry.host}"\nca = "${cert}"`,
      30_000,
      "some.test",
    );
    return (await images.pull("some.test/a/b", { ...call(), auth })).id;
  };
  const realm = `Bearer realm="http://${plain.host}/token"`;
  await assert.rejects(pull(guard("Bearer good", realm)), {
    code: "UNAUTHENTICATED",
    message: /plain http/,
  });
  const redirect = redirectTo(() => plain.host, 307);
  // What a tag means is not checked by a digest, what a digest means is.
  await assert.rejects(
    pull((request, response) => (digestIn(request) ? false : redirect(request, response))),
    { code: "FAILED_PRECONDITION", message: /plain http/ },
  );
  const layer = await pull((request, response) =>
    digestIn(request) === image.layer ? redirect(request, response) : false,
  );
  assert.equal(layer, image.id);
  assertUnheard(plain.heard);
});

test("no error quotes a secret", { skip }, async () => {
  const tokens: readonly Handler[] = [
    (_request, response) => send(response, Buffer.from('{"token":"s3cret-registry')),
    (_request, response) => send(response, Buffer.from('{"token":"s3cret-registry\\n"}')),
    (_request, response) => ended(response.writeHead(403).end("s3cret-password")),
  ];
  for (const token of tokens) {
    await using registry = await serveImage(image, tokenServer(token));
    const { images } = await library();
    const [, auth] = someAuth[0]!;
    const error: unknown = await images
      .pull(`${registry.host}/a/b`, { ...call(), auth })
      .then(() => "no error")
      .catch((failure: unknown) => failure);
    const texts: string[] = [];
    for (let at = error; at instanceof Error; at = at.cause)
      texts.push(`${at.message} ${at.stack}`);
    assert.ok(texts.length > 0);
    assertUnheard(texts);
  }
});

// A flood ends where it is cut off.

/** An answer without end, as fast as it is taken. */
const flood =
  (start: string, sent: { bytes: number }): Handler =>
  (request, response) => {
    if (request.method === "HEAD") return ended(response.end());
    const chunk = Buffer.alloc(64 * 1024, " ");
    const more = (): void => {
      while (!response.destroyed && sent.bytes < 256 * 1024 * 1024) {
        sent.bytes += chunk.length;
        if (!response.write(chunk)) return void response.once("drain", more);
      }
      response.end();
    };
    response.write(start, more);
    return true;
  };

const onlyFor =
  (isIt: (url: string, method: string) => boolean, handler: Handler): Handler =>
  (request, response) =>
    isIt(request.url ?? "", request.method ?? "") ? handler(request, response) : false;

const floods: readonly {
  readonly what: string;
  readonly code: string;
  readonly handler: (sent: { bytes: number }) => Handler;
}[] = [
  {
    what: "a manifest",
    code: "FAILED_PRECONDITION",
    handler: (sent) =>
      onlyFor((url, m) => url.includes("/manifests/") && m === "GET", flood("{", sent)),
  },
  {
    what: "a config",
    code: "FAILED_PRECONDITION",
    handler: (sent) => onlyFor((url) => url.includes(image.id), flood("{", sent)),
  },
  {
    what: "a layer",
    code: "FAILED_PRECONDITION",
    handler: (sent) => onlyFor((url) => url.includes(image.layer), flood("{", sent)),
  },
  {
    what: "a token",
    code: "RESOURCE_EXHAUSTED",
    handler: (sent) => tokenServer(flood("{", sent)),
  },
  {
    what: "an error",
    code: "PERMISSION_DENIED",
    handler: (sent) => (request, response) => {
      response.statusCode = 403;
      return flood("{", sent)(request, response);
    },
  },
  {
    what: "a redirect's body",
    code: "UNAVAILABLE",
    handler: (sent) => (request, response) => {
      response.statusCode = 307;
      response.setHeader("location", request.url ?? "");
      return flood("{", sent)(request, response);
    },
  },
  {
    what: "a 401's body",
    code: "UNAUTHENTICATED",
    handler: (sent) => (request, response) => {
      if (request.url?.startsWith("/token")) return send(response, Buffer.from('{"token":"t"}'));
      response.statusCode = 401;
      response.setHeader("www-authenticate", `Bearer realm="http://${request.headers.host}/token"`);
      return flood("{", sent)(request, response);
    },
  },
];

for (const { what, code, handler } of floods) {
  test(`a flood in place of ${what} is cut off`, { skip }, async () => {
    const sent = { bytes: 0 };
    await using registry = await serveImage(image, handler(sent));
    const { images } = await library();
    await assert.rejects(images.pull(`${registry.host}/a/b`, call()), { code });
    assert.ok(sent.bytes < 64 * 1024 * 1024, `${sent.bytes} bytes were taken`);
  });
}

/** A long answer in chunks of a byte. */
const crumbs: Handler = (request, response) => {
  // Its length is not to be known from elsewhere.
  if (request.method === "HEAD") return ended(response.writeHead(405).end());
  const body = image.blobs.get(digestIn(request) ?? "") ?? Buffer.alloc(0);
  response.writeHead(200, { "content-type": image.manifest.mediaType });
  response.flushHeaders();
  // Node's server would join them.
  const chunks = Array.from(
    Buffer.concat([body, Buffer.alloc(8192, " ")]),
    (byte) => `1\r\n${String.fromCharCode(byte)}\r\n`,
  );
  response.socket?.end(`${chunks.join("")}0\r\n\r\n`, "latin1");
  return true;
};

const crumbled: readonly { readonly what: string; readonly handler: Handler }[] = [
  { what: "a manifest", handler: onlyFor((url) => url.includes("/manifests/"), crumbs) },
  { what: "a token", handler: tokenServer(crumbs) },
  { what: "a layer", handler: onlyFor((url) => url.includes(image.layer), crumbs) },
];

for (const { what, handler } of crumbled) {
  test(`a registry that sends ${what} byte by byte is refused`, { skip }, async () => {
    await using registry = await serveImage(image, handler);
    const { images } = await library();
    await assert.rejects(images.pull(`${registry.host}/a/b`, call()), {
      code: "RESOURCE_EXHAUSTED",
      message: new RegExp(`"${registry.host}" answers in pieces of less than 64 bytes`),
    });
  });

  test(`a mirror that sends ${what} byte by byte gives way to the registry`, { skip }, async () => {
    await using mirror = await serveImage(image, handler);
    await using registry = await serveImage(image);
    const { images } = await library(`[host."http://${mirror.host}"]`);
    assert.equal((await images.pull(`${registry.host}/a/b`, call())).id, image.id);
  });
}

const loops: readonly {
  readonly what: string;
  readonly code: string;
  readonly handler: Handler;
}[] = [
  {
    what: "redirects without end",
    code: "UNAVAILABLE",
    handler: (request, response) =>
      ended(response.writeHead(307, { location: `${request.url}x` }).end()),
  },
  {
    what: "asks for another login each time",
    code: "UNAUTHENTICATED",
    handler: (request, response) => {
      if (request.url?.startsWith("/token"))
        return send(response, Buffer.from(`{"token":"${crypto.randomUUID()}"}`));
      const realm = `http://${request.headers.host}/token?${crypto.randomUUID()}`;
      return ended(
        response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}"` }).end(),
      );
    },
  },
  {
    what: "says to come back in a thousand years",
    code: "UNAVAILABLE",
    handler: (_request, response) =>
      ended(response.writeHead(429, { "retry-after": "31536000000" }).end()),
  },
  {
    what: "answers headers without end",
    code: "UNAVAILABLE",
    handler: (_request, response) =>
      ended(response.writeHead(200, { "x-long": "x".repeat(100_000) }).end()),
  },
  {
    what: "redirects to a file",
    code: "FAILED_PRECONDITION",
    handler: (_request, response) =>
      ended(response.writeHead(307, { location: "file:///etc/passwd" }).end()),
  },
];

for (const { what, code, handler } of loops) {
  test(`a registry that ${what} is given up`, { skip }, async () => {
    await using registry = await serveImage(image, handler);
    const { images } = await library();
    await assert.rejects(images.pull(`${registry.host}/a/b`, call()), { code });
    assert.ok(registry.heard.length < 30, `${registry.heard.length} questions`);
  });
}

// Who does not answer, or hardly, is waited for no longer than the progress timeout says.

const silence: Handler = () => true;
/** A byte now and then, for ever. */
const trickle: Handler = (request, response) => {
  const body = image.blobs.get(digestIn(request) ?? image.manifest.digest) ?? Buffer.alloc(100_000);
  response.writeHead(200, {
    "content-length": body.length,
    "content-type": image.manifest.mediaType,
  });
  let at = 0;
  const timer = setInterval(() => response.write(body.subarray(at, (at += 1))), 20);
  response.on("close", () => clearInterval(timer));
  return true;
};

const stalls: readonly { readonly what: string; readonly handler: Handler }[] = [
  { what: "never answers", handler: silence },
  {
    what: "never answers for a token",
    handler: tokenServer(silence),
  },
  { what: "trickles a token", handler: tokenServer(trickle) },
  {
    what: "never sends a manifest",
    handler: onlyFor((url, method) => url.includes("/manifests/") && method === "GET", silence),
  },
  {
    what: "trickles a manifest",
    handler: onlyFor((url, method) => url.includes("/manifests/") && method === "GET", trickle),
  },
  { what: "never sends a config", handler: onlyFor((url) => url.includes(image.id), silence) },
  { what: "trickles a config", handler: onlyFor((url) => url.includes(image.id), trickle) },
  { what: "never sends a layer", handler: onlyFor((url) => url.includes(image.layer), silence) },
  { what: "trickles a layer", handler: onlyFor((url) => url.includes(image.layer), trickle) },
];

for (const { what, handler } of stalls) {
  test(`a registry that ${what} is given up`, { skip }, async () => {
    await using registry = await serveImage(image, handler);
    const { images } = await library(undefined, 400);
    await assert.rejects(images.pull(`${registry.host}/a/b`, call()), {
      code: "DEADLINE_EXCEEDED",
      message: /did not answer|no progress/,
    });
  });

  test(`a mirror that ${what} gives way to the registry`, { skip }, async () => {
    await using mirror = await serveImage(image, handler);
    await using registry = await serveImage(image);
    const { images } = await library(`[host."http://${mirror.host}"]`, 400);
    assert.equal((await images.pull(`${registry.host}/a/b`, call())).id, image.id);
  });
}
