// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type https from "node:https";
import path from "node:path";
import { after, before, test } from "node:test";
import type { RegistryAuth } from "../../../src/images/ports.ts";
import { findProgram } from "../../support/lacking.ts";
import { ociArchitecture } from "../../support/oci-image.ts";
import { must } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  basic,
  guard,
  type Handler,
  type ScriptedImage,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { namespace, openLibrary } from "./library.ts";

// A registry in the test itself, since these cases need one that misbehaves.

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });

let home: Scratch;
let image: ScriptedImage;
const serve = (first: Handler, tls?: https.ServerOptions) => serveImage(image, first, tls);

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "reg" });
  image = await scriptedImage(await home.folder("layout"), "noise");
});

after(async () => home?.[Symbol.asyncDispose]());

test("basic auth takes user and password, and auth", { skip }, async () => {
  await using registry = await serve(guard(basic("me:se:cret"), 'Basic realm="r"'));
  const given: readonly (RegistryAuth | undefined)[] = [
    { username: "me", password: "se:cret" },
    { auth: Buffer.from("me:se:cret\0\0").toString("base64") },
    { username: "me", password: "se:cret", serverAddress: `http://${registry.host}/v2/` },
  ];
  for (const [at, auth] of given.entries()) {
    const { images } = await openLibrary(await home.folder(`basic ${at}`));
    assert.equal(
      (await images.pull(`${registry.host}/a/b:c`, { ...call(), auth: auth! })).id,
      image.id,
    );
  }
  const { images } = await openLibrary(await home.folder("basic refused"));
  const refused: readonly (RegistryAuth | undefined)[] = [
    undefined,
    { username: "me", password: "wrong" },
    { username: "me", password: "se:cret", serverAddress: "other.test" },
  ];
  for (const auth of refused) {
    await assert.rejects(
      images.pull(`${registry.host}/a/b:c`, { ...call(), ...(auth && { auth }) }),
      {
        code: "UNAUTHENTICATED",
        message: /a\/b:c/,
      },
    );
  }
});

/** A token server that knows one way to ask, and the guard that wants its token. */
function tokenGuard(accepts: (request: IncomingMessage, body: string) => boolean): Handler {
  return (request, response) => {
    if (request.url?.startsWith("/token")) {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        if (accepts(request, body)) response.end(JSON.stringify({ access_token: "t0ken" }));
        else response.writeHead(405).end();
      });
      return true;
    }
    const realm = `http://${request.headers.host}/token`;
    const challenge = `Bearer realm="${realm}",service="reg, istry",scope="repository:a/b:pull"`;
    return guard("Bearer t0ken", challenge)(request, response);
  };
}

const scoped = (request: IncomingMessage): boolean =>
  new URL(request.url ?? "", "http://x").searchParams.get("scope") === "repository:a/b:pull";

const tokenCases: readonly {
  name: string;
  auth?: RegistryAuth;
  accepts: (request: IncomingMessage, body: string) => boolean;
}[] = [
  {
    name: "without credentials",
    accepts: (request) => request.method === "GET" && scoped(request),
  },
  {
    name: "with a password",
    auth: { username: "me", password: "pw" },
    accepts: (request) => request.headers.authorization === basic("me:pw") && scoped(request),
  },
  {
    name: "with a password where only POST is known",
    auth: { username: "me", password: "pw" },
    accepts: ({ method }, body) =>
      method === "POST" && new URLSearchParams(body).get("password") === "pw",
  },
  {
    name: "with an identity token",
    auth: { identityToken: "id" },
    accepts: ({ method }, body) => {
      const form = new URLSearchParams(body);
      return (
        method === "POST" &&
        form.get("grant_type") === "refresh_token" &&
        form.get("refresh_token") === "id" &&
        form.get("service") === "reg, istry"
      );
    },
  },
  { name: "given as registry token", auth: { registryToken: "t0ken" }, accepts: () => false },
];

for (const { name, auth, accepts } of tokenCases) {
  test(`a bearer token is got ${name}`, { skip }, async () => {
    await using registry = await serve(tokenGuard(accepts));
    const { images } = await openLibrary(await home.folder(`token ${name}`));
    const pulled = await images.pull(`${registry.host}/a/b`, { ...call(), ...(auth && { auth }) });
    assert.equal(pulled.id, image.id);
  });
}

test("403 is PERMISSION_DENIED with the registry's words", { skip }, async () => {
  await using registry = await serve((_request, response) => {
    const body = JSON.stringify({ errors: [{ code: "DENIED", message: "not for you" }] });
    response.writeHead(403).end(body);
    return true;
  });
  const { images } = await openLibrary(await home.folder("denied"));
  await assert.rejects(images.pull(`${registry.host}/a/b:c`, call()), {
    code: "PERMISSION_DENIED",
  });
});

test("a redirect to another host goes without credentials", { skip }, async () => {
  const leaked: unknown[] = [];
  await using storage = await serve((request) => void leaked.push(request.headers.authorization));
  await using registry = await serve((request, response) => {
    if (guard(basic("me:pw"), "Basic")(request, response)) return true;
    if (!request.url?.includes("/blobs/")) return false;
    response.writeHead(307, { location: `http://${storage.host}${request.url}` }).end();
    return true;
  });
  const { images } = await openLibrary(await home.folder("redirect"));
  const auth = { username: "me", password: "pw" };
  assert.equal((await images.pull(`${registry.host}/a/b`, { ...call(), auth })).id, image.id);
  assert.deepEqual(leaked, [undefined, undefined]);
});

test("a download that breaks off goes on where it was", { skip }, async () => {
  const ranges: (string | undefined)[] = [];
  const large = [...image.blobs].find(([, bytes]) => bytes.length > 200_000);
  await using registry = await serve((request, response) => {
    if (!large || !request.url?.includes(large[0])) return false;
    ranges.push(request.headers.range);
    if (ranges.length > 1) return false;
    response.writeHead(200, { "content-length": large[1].length });
    response.write(large[1].subarray(0, 100_000), () => response.destroy());
    return true;
  });
  const { images } = await openLibrary(await home.folder("resume"));
  assert.equal((await images.pull(`${registry.host}/a/b`, call())).id, image.id);
  assert.equal(ranges.length, 2);
  assert.match(ranges[1] ?? "", /^bytes=[1-9]\d*-$/);
});

for (const status of [400, 403, 404, 405, 501]) {
  test(`a download that breaks off is read over where a range is refused with ${status}`, {
    skip,
  }, async () => {
    const ranges: (string | undefined)[] = [];
    const large = [...image.blobs].find(([, bytes]) => bytes.length > 200_000);
    await using registry = await serve((request, response) => {
      if (!large || !request.url?.includes(large[0])) return false;
      const { range } = request.headers;
      ranges.push(range);
      if (range !== undefined) {
        response.writeHead(status).end("no range");
        return true;
      }
      if (ranges.length > 1) return false;
      response.writeHead(200, { "content-length": large[1].length });
      response.write(large[1].subarray(0, 100_000), () => response.destroy());
      return true;
    });
    const { images } = await openLibrary(await home.folder(`no range ${status}`));
    assert.equal((await images.pull(`${registry.host}/a/b`, call())).id, image.id);
    assert.deepEqual(ranges.slice(0, 1), [undefined]);
    assert.match(ranges[1] ?? "", /^bytes=[1-9]\d*-$/);
    assert.deepEqual(ranges.slice(2), [undefined]);
  });
}

test("a stalled download is given up", { skip }, async () => {
  await using registry = await serve((request, response) => {
    if (!request.url?.includes("/blobs/")) return false;
    const digest = request.url.split("/").at(-1)?.split("?")[0] ?? "";
    const body = image.blobs.get(digest) ?? Buffer.alloc(0);
    if (body.length < 200_000) return false;
    response.writeHead(200, { "content-length": body.length });
    response.write(body.subarray(0, 1000));
    return true;
  });
  const { images } = await openLibrary(await home.folder("stalled"), {
    config: { maxConcurrentDownloads: 3, pullProgressTimeoutMs: 200 },
  });
  await assert.rejects(images.pull(`${registry.host}/a/b`, call()), {
    code: "DEADLINE_EXCEEDED",
    message: /no progress/,
  });
});

test("wrong bytes are refused and not kept", { skip }, async () => {
  await using registry = await serve((request, response) => {
    const digest = request.url?.split("/").at(-1) ?? "";
    const body = Buffer.from(image.blobs.get(digest) ?? "");
    if (!request.url?.includes("/blobs/") || body.length < 200_000) return false;
    body.writeUInt8((body[1000] ?? 0) ^ 1, 1000);
    response.writeHead(200, { "content-length": body.length }).end(body);
    return true;
  });
  const { images, content, snapshotter } = await openLibrary(await home.folder("wrong"));
  await assert.rejects(images.pull(`${registry.host}/a/b`, call()), {
    code: "FAILED_PRECONDITION",
  });
  assert.deepEqual([images.list(), snapshotter.list(namespace)], [[], []]);
  assert.deepEqual(await content.ingests(namespace), []);
});

test("an index gives the image for this platform, or says which it has", { skip }, async () => {
  const own = { ...image.manifest, size: image.blobs.get(image.manifest.digest)?.length };
  const other = { ...own, platform: { os: "linux", architecture: "s390x" } };
  const indexOf = (manifests: unknown[]) =>
    Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
  const whole = indexOf([
    other,
    { ...own, platform: { os: "linux", architecture: ociArchitecture() } },
  ]);
  const foreign = indexOf([other]);
  await using registry = await serve((request, response) => {
    const tag = request.url?.split("/").at(-1);
    const body = { whole, foreign }[tag ?? ""];
    const digests = [whole, foreign].map(
      (bytes) => [`sha256:${createHash("sha256").update(bytes).digest("hex")}`, bytes] as const,
    );
    const found = body ?? digests.find(([digest]) => digest === tag)?.[1];
    if (!found) return false;
    response.setHeader("content-type", "application/vnd.oci.image.index.v1+json");
    response.end(request.method === "HEAD" ? undefined : found);
    return true;
  });
  const { images } = await openLibrary(await home.folder("index"));
  assert.equal((await images.pull(`${registry.host}/a/b:whole`, call())).id, image.id);
  await assert.rejects(images.pull(`${registry.host}/a/b:foreign`, call()), {
    code: "NOT_FOUND",
    message: /linux\/s390x/,
  });
});

test("callers share a pull, and one that gives up leaves it to the others", { skip }, async () => {
  let manifests = 0;
  const { promise: asked, resolve: reached } = Promise.withResolvers<void>();
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  await using registry = await serve((request, response) => {
    if (!request.url?.includes("/manifests/") || request.method !== "HEAD") return false;
    manifests += 1;
    reached();
    void opened.then(() => {
      response.setHeader("docker-content-digest", image.manifest.digest);
      response.setHeader("content-type", image.manifest.mediaType);
      response.setHeader("content-length", image.blobs.get(image.manifest.digest)?.length ?? 0);
      response.end();
    });
    return true;
  });
  const { images } = await openLibrary(await home.folder("shared"));
  const abort = new AbortController();
  const first = images.pull(`${registry.host}/a/b`, { signal: abort.signal });
  const second = images.pull(`${registry.host}/a/b:latest`, call());
  await asked;
  abort.abort();
  await assert.rejects(first, { name: "AbortError" });
  open();
  assert.equal((await second).id, image.id);
  assert.equal(manifests, 1);
});

test("a pull that nobody waits for ends", { skip }, async () => {
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  const { promise: asked, resolve: reached } = Promise.withResolvers<void>();
  await using registry = await serve((request) => {
    request.socket.on("close", () => close());
    reached();
    return true;
  });
  const { images } = await openLibrary(await home.folder("alone"));
  const abort = new AbortController();
  const pull = images.pull(`${registry.host}/a/b`, { signal: abort.signal });
  await asked;
  abort.abort(new DOMException("too late", "TimeoutError"));
  await assert.rejects(pull, { name: "TimeoutError" });
  await closed;
});

test("https takes the authorities of hosts.toml, or none", { skip }, async (t) => {
  if (!findProgram("openssl")) return t.skip("needs openssl");
  const configPath = await home.folder("certs");
  const key = path.join(configPath, "key.pem");
  const cert = path.join(configPath, "cert.pem");
  const request =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 " +
    "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1";
  await must("openssl", [...request.split(" "), "-keyout", key, "-out", cert]);
  const tls = { key: await readFile(key), cert: await readFile(cert) };
  await using registry = await serve(() => false, tls);
  const pull = async (name: string, settings: string): Promise<string> => {
    await mkdir(path.join(configPath, name));
    await writeFile(
      path.join(configPath, name, "hosts.toml"),
      `server = "https://${registry.host}"\n${settings}`,
    );
    const { images } = await openLibrary(await home.folder(`tls ${name}`), {
      registry: { configPath },
    });
    return (await images.pull(`${name}/a/b`, call())).id;
  };
  assert.equal(await pull("ca.test", 'ca = "../cert.pem"'), image.id);
  assert.equal(await pull("skip.test", "skip_verify = true"), image.id);
  await assert.rejects(pull("strict.test", ""), { code: "UNAVAILABLE" });
  // The loopback is plain unless its folder says otherwise; certificates alone are Docker's way to say it.
  const direct = async (files: Readonly<Record<string, string | Buffer>>, host = registry.host) => {
    const folder = path.join(configPath, host);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    for (const [name, content] of Object.entries(files)) {
      await writeFile(path.join(folder, name), content);
    }
    const { images } = await openLibrary(await home.folder(`tls ${Object.keys(files).join(" ")}`), {
      registry: { configPath },
    });
    return (await images.pull(`${host}/a/b`, call())).id;
  };
  assert.equal(await direct({ "ca.crt": tls.cert }), image.id);
  assert.equal(await direct({ "hosts.toml": "skip_verify = true" }), image.id);
  await using plain = await serve(() => false);
  assert.equal(
    await direct({ "hosts.toml": "skip_verify = true", plain: "" }, plain.host),
    image.id,
  );
  // A wrong certificate does not lead to plain http.
  await assert.rejects(direct({ "hosts.toml": "skip_verify = false" }), /SELF_SIGNED_CERT/);
  await using careful = await serve(() => false, {
    ...tls,
    ca: tls.cert,
    requestCert: true,
    rejectUnauthorized: true,
  });
  const client = { "ca.crt": tls.cert, "me.cert": tls.cert, "me.key": tls.key };
  assert.equal(await direct(client, careful.host), image.id);
  await assert.rejects(direct({ "a.crt": tls.cert }, careful.host), { code: "UNAVAILABLE" });
});
