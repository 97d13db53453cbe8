// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { RuntimeFault } from "../../../src/base/errors.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import type { Digest } from "../../../src/content/ports.ts";
import { DocumentReader } from "../../../src/images/manifest/document-reader.ts";
import type { RegistryAuth } from "../../../src/images/ports.ts";
import { parseReference } from "../../../src/images/reference.ts";
import { parseHosts } from "../../../src/images/registry/hosts.ts";
import { registryPatience } from "../../../src/images/registry/patience.ts";
import { RegistryClient } from "../../../src/images/registry/registry-client.ts";
import { systemAuthorities } from "../../../src/images/registry/system-authorities.ts";
import { type Heard, ScriptedWeb } from "../support/scripted-web.ts";
import { type FuzzTarget, refused } from "../target.ts";

const documents = new DocumentReader();
const origin = "https://registry.test";
const mirror = "http://mirror.test:5000";
const password = "s3cretPassw0rd";
const identityToken = "1dentityT0ken";
const registryToken = "reg1stryT0ken";
const operatorsHeader = "X-Operator: 0perat0rsSecret";
const document = Buffer.from(
  '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}',
);
const digest = digestOf(document);
const mediaType = "application/vnd.oci.image.manifest.v1+json";

const auths: readonly (RegistryAuth | undefined)[] = [
  undefined,
  { username: "me", password },
  { identityToken },
  { registryToken },
];
const hostsToml = `
server = "${origin}"
[header]
x-operator = "0perat0rsSecret"
[host."${mirror}"]
`;
const network = { proxies: () => undefined, authorities: () => systemAuthorities({}) };
// Read once: hosts-toml is a target of its own.
const both = parseHosts(hostsToml, "/etc/hosts.d", "registry.test");
const registryAlone = both.filter(({ isOrigin }) => isOrigin);
const byTag = parseReference("registry.test/a/b:tag");
const byDigest = parseReference(`registry.test/a/b@${digest}`);
/** Between the answers to one request and the next. */
const separator = Buffer.from("\n--next--\n");

/**
 * What registries, token servers and whoever they redirect to answer, one answer for each request, to the
 * real client on Node's HTTP without a network. The first byte chooses what is asked for, with which login,
 * and whether a mirror is asked first.
 */
export const target: FuzzTarget = {
  name: "registry-answers",
  parses: [
    "src/images/registry/registry-client.ts",
    "src/images/registry/authorizer.ts",
    "src/images/registry/token-request.ts",
    "src/images/registry/http-client.ts",
    "src/images/registry/http-answer.ts",
    "src/images/registry/redirect.ts",
    "src/images/registry/refusal.ts",
    "src/images/registry/error-text.ts",
    "src/images/registry/retry-after.ts",
  ],
  dictionary: [
    "\n--next--\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 206 Partial Content\r\n",
    "HTTP/1.1 307 Temporary Redirect\r\n",
    "HTTP/1.1 401 Unauthorized\r\n",
    "HTTP/1.1 405 x\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "Location: https://elsewhere.test/x\r\n",
    "Location: //registry.test/v2/\r\n",
    "Location: http://registry.test/x\r\n",
    'WWW-Authenticate: Bearer realm="https://auth.test/token"\r\n',
    'WWW-Authenticate: Bearer realm="http://auth.test/token"\r\n',
    "WWW-Authenticate: Basic realm=x\r\n",
    '{"token":"t0ken"}',
    '{"errors":[{"message":"',
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Encoding: gzip\r\n",
    "Content-Range: bytes 5-",
    "Content-Range: bytes 99999999999999999999-",
    `Docker-Content-Digest: ${digest}\r\n`,
    `Content-Type: ${mediaType}\r\n`,
    "Retry-After: 1\r\n",
    "Retry-After: Sun, 29 Nov 2026 12:00:30 GMT\r\n",
    'WWW-Authenticate: Bearer realm="/token",error="insufficient_scope"\r\n',
    '{"token":null,"access_token":"t0ken"}',
    "<html><title>",
    "\r\n\r\n",
  ],
  *seeds() {
    const answer = (
      status: string,
      headers: readonly string[],
      body: string | Buffer = "",
    ): Buffer =>
      Buffer.concat([
        Buffer.from([`HTTP/1.1 ${status}`, ...headers, "", ""].join("\r\n")),
        Buffer.from(body as string),
      ]);
    const no = answer("404 Not Found", ["Content-Length: 0"]);
    const bearer = answer("401 Unauthorized", [
      'WWW-Authenticate: Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull"',
      "Content-Length: 0",
    ]);
    const basic = answer("401 Unauthorized", [
      'WWW-Authenticate: Basic realm="x"',
      "Content-Length: 0",
    ]);
    const token = answer(
      "200 OK",
      ["Content-Type: application/json"],
      '{"token":"t0ken","expires_in":300}',
    );
    const whole = answer("200 OK", [`Content-Type: ${mediaType}; charset=utf-8`], document);
    const head = answer("200 OK", [
      `Content-Type: ${mediaType}`,
      `Content-Length: ${document.length}`,
      `Docker-Content-Digest: ${digest}`,
    ]);
    const moved = answer("307 Temporary Redirect", [
      "Location: https://cdn.test/blob?sig=1",
      "Content-Length: 0",
    ]);
    const home = answer("302 Found", [
      `Location: ${origin}/v2/a/b/blobs/${digest}`,
      "Content-Length: 0",
    ]);
    const part = answer(
      "206 Partial Content",
      [`Content-Range: bytes 5-${document.length - 1}/${document.length}`],
      document.subarray(5),
    );
    const denied = answer(
      "403 Forbidden",
      [],
      '{"errors":[{"code":"DENIED","message":"pull access denied"}]}',
    );
    const bells = answer(
      "403 Forbidden",
      [],
      String.raw`{"errors":[{"code":"DENIED","message":"\u0007\u001b[2J\n\u202e"}]}`,
    );
    const switching = answer("101 Switching Protocols", ["Upgrade: x", "Connection: Upgrade"]);
    const busy = answer("429 Too Many Requests", ["Retry-After: 1", "Content-Length: 0"]);
    const noRange = answer("416 Range Not Satisfiable", ["Content-Length: 0"]);
    const chunked = answer(
      "200 OK",
      ["Transfer-Encoding: chunked"],
      `4c\r\n${document.toString()}\r\n0\r\n\r\n`,
    );
    const scripts: readonly (readonly Buffer[])[] = [
      [no, bearer, token, head],
      [no, basic, head],
      [no, head, whole],
      [whole, whole],
      [busy, bearer, token, moved, whole],
      [no, moved, home, whole],
      [part, denied],
      [noRange, whole],
      [
        no,
        answer("206 Partial Content", [
          "Content-Range: bytes 99999999999999999999-",
          "Content-Length: 0",
        ]),
      ],
      [denied, chunked],
      [bells, bells],
      [switching, switching],
      [basic, busy, bearer, busy, token],
      [moved, moved, moved, moved, moved],
      Array.from({ length: 30 }, () => answer("302 Found", ["Location: /x", "Content-Length: 0"])),
    ];
    for (const [at, script] of scripts.entries()) {
      const alone = script[0] === no ? 0 : 32;
      for (const what of [0, 1, 2, 3, 4, 5]) {
        const bytes = script.flatMap((one) => [one, separator]);
        yield Buffer.concat([Buffer.from([what + 8 * (at % 4) + alone]), ...bytes]);
      }
    }
  },
  async run(input) {
    const [circumstances = 0] = input;
    const what = circumstances & 7;
    const auth = auths[(circumstances >> 3) & 3];
    const script = scriptOf(input.subarray(1));
    using web = new ScriptedWeb(script);
    const call = { signal: new AbortController().signal };
    {
      const reference = what === 1 ? byDigest : byTag;
      const hosts = (circumstances & 32) === 0 ? both : registryAlone;
      const options = {
        reference,
        hosts,
        network,
        auth,
        progressTimeoutMs: 1000,
        patience: { ...registryPatience, attempts: 2, delayMs: 0, longestWaitMs: 0 },
        documents,
        log: silentLogger,
      };
      using client = await RegistryClient.create(options);
      try {
        await ask(client, what, call, Buffer.concat(script).length);
      } catch (error) {
        allowRefusal(error);
      }
    }
    for (let turn = 0; turn < 100 && web.open > 0; turn += 1) await setImmediate();
    assert.equal(web.open, 0, "a connection is left open");
    checkRequests(web.heard);
    const redirected = script
      .slice(0, web.heard.length)
      .map((answer) => redirect.test(answer.toString("latin1")));
    // Ten, and the one that is one too many, of each of two hosts.
    assert.ok(longestRun(redirected) <= 22, `${longestRun(redirected)} redirects`);
  },
};

async function ask(
  client: RegistryClient,
  what: number,
  call: { readonly signal: AbortSignal },
  sentBytes: number,
): Promise<void> {
  const size = document.length;
  if (what <= 1) {
    const found = await client.resolve(call);
    assert.match(found.digest, /^sha(256|512):[0-9a-f]+$/);
    if (what === 1) assert.equal(found.digest, digest);
    assert.ok(Number.isSafeInteger(found.size), `size ${found.size}`);
    const bytes = await client.document(found, call);
    assert.equal(digestOf(bytes), found.digest);
    assert.equal(bytes.length, found.size);
  } else if (what === 2) {
    const bytes = await client.document({ mediaType, digest, size, annotations: {} }, call);
    assert.equal(digestOf(bytes), digest);
  } else if (what <= 4) {
    const blob = { mediaType, digest, size, annotations: {} };
    const asked = what === 3 ? 0 : 5;
    const { answer, start } = await client.blob(blob, asked, new Map(), call);
    assert.ok(Number.isSafeInteger(start) && start >= 0 && start <= asked, `start ${start}`);
    let received = 0;
    try {
      for await (const chunk of answer.body) received += (chunk as Buffer).length;
    } catch (error) {
      assert.ok(error instanceof Error);
    }
    assert.ok(received <= sentBytes);
  } else {
    await client.assertReadable(digest, call);
  }
}

function allowRefusal(error: unknown): void {
  // Other statuses than those that mean something.
  const isOdd = error instanceof RuntimeFault && typeof error.details?.["status"] === "number";
  if (isOdd && error.code === "UNKNOWN") refused(error, "UNKNOWN");
  else {
    refused(
      error,
      "NOT_FOUND",
      "UNAUTHENTICATED",
      "PERMISSION_DENIED",
      "UNAVAILABLE",
      "DEADLINE_EXCEEDED",
      "FAILED_PRECONDITION",
      "RESOURCE_EXHAUSTED",
    );
  }
  assert.doesNotMatch((error as Error).message, /\p{Cc}/u, "a control character in a message");
}

const redirect = /^HTTP\/1\.1 30[12378] [^]*?^location:/im;

function longestRun(values: readonly boolean[]): number {
  let longest = 0;
  let run = 0;
  for (const value of values) {
    run = value ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}

/** Secrets go only where they are for; and there is an end to asking. */
function checkRequests(heard: readonly Heard[]): void {
  assert.ok(heard.length <= 120, `${heard.length} requests`);
  for (const { origin: to, headers, body, path } of heard) {
    const all = `${headers}\n${body}\n${path}`;
    const isOwn = to === origin;
    if (!isOwn)
      assert.ok(!all.includes(operatorsHeader.slice(-15)), `the operator's header for ${to}`);
    if (!isOwn) assert.ok(!all.includes(registryToken), `the registry token for ${to}`);
    if (to.startsWith("https:")) continue;
    for (const secret of [password, identityToken, registryToken, basicOf("me", password)]) {
      assert.ok(!all.includes(secret), `a secret by plain http for ${to}`);
    }
    assert.doesNotMatch(headers, /^authorization: basic/im);
  }
}

function basicOf(username: string, secret: string): string {
  return Buffer.from(`${username}:${secret}`).toString("base64");
}

function scriptOf(bytes: Buffer): Buffer[] {
  const script: Buffer[] = [];
  let rest = bytes;
  for (let at = rest.indexOf(separator); at >= 0; at = rest.indexOf(separator)) {
    script.push(rest.subarray(0, at));
    rest = rest.subarray(at + separator.length);
  }
  return [...script, rest];
}

function digestOf(bytes: Buffer): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
}
