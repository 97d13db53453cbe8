// SPDX-License-Identifier: Apache-2.0
// Pushes to registries that misbehave, each in its own way.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { RegistryAuth } from "../../../src/images/ports.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type ScriptedImage, scriptedImage } from "../../support/scripted-registry.ts";
import {
  type Asked,
  serveUploads,
  type UploadFaults,
  type UploadRegistry,
} from "../../support/upload-registry.ts";
import { type Library, openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const name = "example.com/a/b:1";

interface Case {
  readonly name: string;
  readonly faults: UploadFaults;
  /** What the registry heard, when all is there. */
  readonly heard?: (registry: UploadRegistry) => void;
  /** What is thrown, where it is not. */
  readonly fails?: { readonly code: string; readonly message: RegExp };
  readonly auth?: RegistryAuth;
}

/** Answers so to the first few of such requests. */
const answers =
  (
    which: readonly [method: string, kind: Asked["kind"], times: number],
    status: number,
    headers: Readonly<Record<string, string>> = {},
    body = "",
  ): NonNullable<UploadFaults["first"]> =>
  async ({ request, response, kind, count }) => {
    if (request.method !== which[0] || kind !== which[1] || count > which[2]) return false;
    for await (const _ of request);
    response.writeHead(status, headers).end(body);
    return true;
  };

const isPut = ({ request, kind }: Asked): boolean => request.method === "PUT" && kind === "upload";
const requests = ({ asked }: UploadRegistry, begin: string): readonly string[] =>
  asked.filter((one) => one.startsWith(begin));

/** Wants a token for pull and push of the repository. */
const wantsToken: NonNullable<UploadFaults["first"]> = ({ request, response, path: at }) => {
  const { authorization, host } = request.headers;
  if (at === "/token") {
    const scopes = new URL(request.url ?? "", "http://x").searchParams.getAll("scope");
    const mayPush = scopes.includes("repository:c/d:pull,push") && authorization !== undefined;
    response.writeHead(mayPush ? 200 : 403).end(JSON.stringify({ token: "t0ken" }));
    return true;
  }
  if (authorization === "Bearer t0ken") return false;
  const scope = request.method === "HEAD" ? "pull" : "pull,push";
  const challenge = `Bearer realm="http://${host}/token",service="s",scope="repository:c/d:${scope}"`;
  response.writeHead(401, { "www-authenticate": challenge }).end();
  return true;
};

const cases: readonly Case[] = [
  { name: "nothing is wrong", faults: {} },
  {
    name: "an upload's place has a query",
    faults: { location: (at) => `${at}?_state=a%2Bb%3D&x=1` },
    heard: (registry) =>
      assert.ok(requests(registry, "PUT /v2/up")[0]?.includes("?_state=a%2Bb%3D&x=1&digest=")),
  },
  {
    name: "an upload's place is a whole address",
    faults: { location: (at, host) => `http://${host}${at}` },
  },
  {
    name: "an upload has no place",
    faults: { location: () => undefined },
    fails: {
      code: "FAILED_PRECONDITION",
      message: /^cannot push "127.*c\/d:1" to "127.*": "127.*" names no place for an upload$/,
    },
  },
  {
    name: "an upload's place is no address",
    faults: { location: () => "file:///etc/passwd" },
    fails: {
      code: "FAILED_PRECONDITION",
      message: /^cannot push "127.*c\/d:1" to "127.*": "127.*" names no place for an upload$/,
    },
  },
  {
    name: "one token is asked for, for pull and push",
    faults: { first: wantsToken },
    auth: { username: "me", password: "pw" },
    heard: (registry) => assert.equal(requests(registry, "GET /token").length, 1),
  },
  {
    name: "the login is no good",
    faults: { first: wantsToken },
    fails: {
      code: "PERMISSION_DENIED",
      message: /cannot push "127.*c\/d:1" to "127.*refuses a token/,
    },
  },
  {
    name: "a busy registry is asked again",
    faults: { first: answers(["POST", "start", 3], 429) },
  },
  {
    name: "a broken registry is asked again, for blobs and manifests",
    faults: {
      first: async (asked) =>
        (await answers(["PUT", "upload", 2], 503)(asked)) === true ||
        (await answers(["PUT", "manifest", 2], 500)(asked)) === true ||
        (await answers(["HEAD", "blob", 2], 502)(asked)) === true,
    },
  },
  {
    name: "a registry that stays busy",
    faults: { first: answers(["POST", "start", 99], 503) },
    fails: {
      code: "UNAVAILABLE",
      message: /cannot push "127.*" to "127.*": status 503 \(5 attempts\)/,
    },
  },
  {
    name: "what is cut off goes on",
    faults: { cutAfter: (asked) => (isPut(asked) && asked.count === 2 ? 100_000 : undefined) },
    heard: (registry) => {
      const at = registry.asked.findIndex((one) => one.startsWith("PATCH"));
      assert.match(registry.headers[at]?.["content-range"] ?? "", /^100000-\d+$/);
      assert.equal(requests(registry, "PATCH").length, 1);
    },
  },
  {
    name: "what is cut off many times goes on as long as it gets further",
    faults: {
      cutAfter: ({ request, kind }) =>
        kind === "upload" && Number(request.headers["content-length"]) > 70_000
          ? 66_000
          : undefined,
    },
    heard: (registry) => assert.ok(requests(registry, "PATCH").length >= 3),
  },
  {
    name: "what is cut off begins anew where nothing is left of it",
    faults: {
      forgets: true,
      cutAfter: (asked) => (isPut(asked) && asked.count === 2 ? 100_000 : undefined),
    },
    heard: (registry) => assert.equal(requests(registry, "POST").length, 3),
  },
  {
    name: "what is always cut off",
    faults: { forgets: true, cutAfter: ({ kind }) => (kind === "upload" ? 1000 : undefined) },
    fails: { code: "UNAVAILABLE", message: /cannot reach "127.*(ECONNRESET|EPIPE|closed)/ },
  },
  {
    name: "long requests are refused",
    faults: {
      first: async ({ request, response, kind }) => {
        if (kind !== "upload" || Number(request.headers["content-length"] ?? 0) <= 300_000)
          return false;
        response.writeHead(413, { connection: "close" }).end();
        return true;
      },
    },
    heard: (registry) => assert.ok(requests(registry, "PATCH").length >= 2),
  },
  {
    name: "no length is short enough",
    faults: { first: answers(["PUT", "upload", 99], 413) },
    fails: { code: "UNKNOWN", message: /status 413/ },
  },
  {
    name: "pieces have a minimum",
    faults: {
      uploadHeaders: { "oci-chunk-min-length": "400000" },
      first: async ({ request, response, kind }) => {
        if (kind !== "upload" || Number(request.headers["content-length"] ?? 0) <= 500_000)
          return false;
        response.writeHead(413, { connection: "close" }).end();
        return true;
      },
    },
    heard: (registry) => {
      const lengths = registry.asked.flatMap((one, at) =>
        one.startsWith("PATCH") ? Number(registry.headers[at]?.["content-length"]) : [],
      );
      assert.ok(
        lengths.length >= 2 && lengths.slice(0, -1).every((one) => one >= 400_000),
        lengths.join(" "),
      );
    },
  },
  {
    name: "a registry keeps one byte of each piece",
    faults: {
      first: async ({ request, response, kind, count }) => {
        const isBig = Number(request.headers["content-length"] ?? 0) > 100_000;
        if (kind !== "upload" || !isBig) return false;
        for await (const _ of request);
        const isWhole = request.method === "PUT";
        response.writeHead(isWhole ? 413 : 202, { range: `0-${count}` }).end();
        return true;
      },
    },
    fails: { code: "FAILED_PRECONDITION", message: /keeps less of "sha256:\S+" than it is sent/ },
  },
  {
    name: "the answer to the last request is lost",
    faults: {
      first: async (asked) => {
        if (!isPut(asked) || asked.count !== 2) return false;
        setTimeout(() => asked.request.socket.destroy(), 200);
        return false;
      },
    },
  },
  {
    name: "HEAD is not allowed",
    faults: { first: answers(["HEAD", "blob", 99], 405) },
  },
  {
    name: "an upload that is not known any more begins anew",
    faults: { first: answers(["PUT", "upload", 1], 404) },
  },
  {
    name: "nobody may push",
    faults: {
      first: answers(
        ["POST", "start", 99],
        403,
        {},
        '{"errors":[{"code":"DENIED","message":"read only"}]}',
      ),
    },
    fails: { code: "PERMISSION_DENIED", message: /access denied: DENIED: read only/ },
  },
  {
    name: "the repository must be made before",
    faults: {
      first: answers(
        ["POST", "start", 99],
        404,
        {},
        '{"errors":[{"code":"NAME_UNKNOWN","message":"no c/d"}]}',
      ),
    },
    fails: { code: "NOT_FOUND", message: /not found: NAME_UNKNOWN: no c\/d/ },
  },
  {
    name: "the manifest is refused",
    faults: {
      first: answers(["PUT", "manifest", 99], 400, {}, '{"errors":[{"code":"MANIFEST_INVALID"}]}'),
    },
    fails: { code: "UNKNOWN", message: /status 400: MANIFEST_INVALID/ },
  },
  {
    name: "the manifest becomes another",
    faults: { storedAs: `sha256:${"0".repeat(64)}` },
    fails: { code: "FAILED_PRECONDITION", message: /was stored as "sha256:0/ },
  },
  {
    name: "an upload is sent on to the same server",
    faults: {
      first: ({ request, response, kind, count }) => {
        if (kind !== "upload" || request.method !== "PUT" || count > 1) return false;
        response.writeHead(307, { location: `${request.url}&again=1` }).end();
        return true;
      },
    },
  },
  {
    name: "an upload is sent on without end",
    faults: {
      first: ({ request, response, kind }) => {
        if (kind !== "upload") return false;
        response.writeHead(307, { location: request.url ?? "" }).end();
        return true;
      },
    },
    fails: { code: "UNAVAILABLE", message: /redirects without end/ },
  },
];

suite("pushes to odd registries", { skip }, () => {
  let home: Scratch;
  let image: ScriptedImage;
  let library: Library;
  before(async () => {
    home = await scratch({ prefix: "pushf" });
    image = await scriptedImage(await home.folder("layout"), "pushed", 1024);
    library = await openLibrary(await home.folder("library"));
    await load(library);
  });
  after(() => home?.[Symbol.asyncDispose]());

  const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(240_000) });
  const load = async ({ images }: Library): Promise<void> =>
    void (await images.load(await home.folder("layout"), { ...call(), name }));
  const isThere = (registry: UploadRegistry): void => {
    assert.deepEqual([...registry.blobs.keys()].toSorted(), [image.id, image.layer].toSorted());
    for (const [digest, bytes] of registry.blobs) assert.ok(image.blobs.get(digest)?.equals(bytes));
    const manifest = registry.manifests.get("1");
    assert.ok(manifest?.equals(image.blobs.get(image.manifest.digest)!));
  };

  for (const { name: what, faults, heard, fails, auth } of cases) {
    test(what, async () => {
      await using registry = await serveUploads(faults);
      const pushed = library.images.push(name, {
        destination: `${registry.host}/c/d:1`,
        ...(auth && { auth }),
        ...call(),
      });
      if (fails) {
        await assert.rejects(pushed, fails);
        return;
      }
      await pushed;
      isThere(registry);
      heard?.(registry);
    });
  }

  test("credentials stay with the registry where uploads go to a store", async () => {
    await using store = await serveUploads();
    await using registry = await serveUploads({
      location: (at) => `http://${store.host}${at}`,
      first: ({ request, response }) => {
        if (request.headers.authorization === "Basic bWU6cHc=") return false;
        response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
        return true;
      },
    });
    const pushed = library.images.push(name, {
      destination: `${registry.host}/c/d:1`,
      auth: { username: "me", password: "pw" },
      ...call(),
    });
    // The store knows nothing of the uploads; what counts is what it was shown.
    await assert.rejects(pushed, { code: "NOT_FOUND", message: /BLOB_UPLOAD_UNKNOWN/ });
    assert.ok(store.headers.length > 0);
    assert.ok(store.headers.every(({ authorization }) => authorization === undefined));
  });

  test("a registry that does not read is given up", async () => {
    await using registry = await serveUploads({
      first: ({ request }) => request.method === "PUT",
    });
    const slow = await openLibrary(await home.folder("slow"), {
      config: { pullProgressTimeoutMs: 1500 },
    });
    await load(slow);
    await assert.rejects(
      slow.images.push(name, { destination: `${registry.host}/c/d:1`, ...call() }),
      {
        code: "DEADLINE_EXCEEDED",
        message: /upload of "sha256:\S+" made no progress for 1.5 s/,
      },
    );
  });

  test("a push ends with its caller", async () => {
    const stop = new AbortController();
    await using registry = await serveUploads({
      first: ({ request }) => {
        if (request.method === "PUT") setTimeout(() => stop.abort(new Error("enough")), 50);
        return request.method === "PUT";
      },
    });
    const destination = `${registry.host}/c/d:1`;
    await assert.rejects(library.images.push(name, { destination, signal: stop.signal }), /enough/);
  });

  test("hosts.toml says what may be pushed to", async () => {
    await using mirror = await serveUploads();
    await using registry = await serveUploads();
    const host = "registry.test";
    const certs = await home.folder("certs");
    await mkdir(path.join(certs, host), { recursive: true });
    const other = await openLibrary(await home.folder("certs-library"), {
      registry: { configPath: certs },
    });
    await load(other);
    const write = (server: string, more: string): Promise<void> =>
      writeFile(
        path.join(certs, host, "hosts.toml"),
        `server = "http://${registry.host}"\n${server}\n[host."http://${mirror.host}"]\n${more}\n`,
      );
    const push = () => other.images.push(name, { destination: `${host}/c/d:1`, ...call() });
    await write("", 'capabilities = ["pull", "resolve"]');
    await push();
    isThere(registry);
    assert.equal(mirror.asked.length, 0);
    await write("", 'capabilities = ["push"]\nheader = { x-token = "y" }');
    await push();
    isThere(mirror);
    assert.ok(mirror.headers.every((one) => one["x-token"] === "y"));
    assert.ok(mirror.asked.every((one) => one.includes(`ns=${host}`) || !one.includes("/c/d/")));
    await write('capabilities = ["pull"]', 'capabilities = ["pull"]');
    await assert.rejects(push(), {
      code: "FAILED_PRECONDITION",
      message: /no host of "registry.test" has the capability "push" in hosts.toml/,
    });
  });
});
