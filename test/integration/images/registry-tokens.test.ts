// SPDX-License-Identifier: Apache-2.0
// The ways in which registries ask for a login and token servers give one.
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { RegistryAuth } from "../../../src/images/ports.ts";
import { openClient } from "../../support/registry-client.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  basic,
  type Handler,
  type ScriptedImage,
  type ScriptedRegistry,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";

const call = () => ({ signal: AbortSignal.timeout(240_000) });
const me = { username: "me", password: "s3cret" };

let home: Scratch;
let image: ScriptedImage;

before(async () => {
  home = await scratch({ prefix: "tokens" });
  image = await scriptedImage(await home.folder("layout"), "tokens");
});

after(async () => home?.[Symbol.asyncDispose]());

/** A request to a token server, and what it sent. */
interface Asked {
  readonly method: string;
  readonly login: string | undefined;
  readonly form: URLSearchParams;
}

type TokenServer = (asked: Asked, response: ServerResponse) => void;
type Challenge = (host: string, sent: string | undefined) => string | string[];

const good: TokenServer = (_asked, response) => void response.end('{"token":"good"}');
const says =
  (status: number, body = ""): TokenServer =>
  (_asked, response) =>
    void response.writeHead(status).end(body);
const bearer: Challenge = (host) => `Bearer realm="http://${host}/token",service="s"`;

/** A registry that lets in who sends one of `accepted`. */
function serve(
  token: TokenServer,
  challenge: Challenge = bearer,
  { accepted = ["Bearer good"], status = 401 } = {},
): Promise<ScriptedRegistry> {
  return serveImage(image, (request, response) => {
    if (new URL(request.url ?? "", "http://x").pathname.endsWith("/token")) {
      void askedOf(request).then((asked) => token(asked, response));
      return true;
    }
    const sent = request.headers.authorization;
    if (sent !== undefined && accepted.includes(sent)) return false;
    const host = request.headers.host ?? "";
    response.writeHead(status, { "www-authenticate": challenge(host, sent) }).end();
    return true;
  });
}

async function askedOf(request: IncomingMessage): Promise<Asked> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  const { method = "", url = "" } = request;
  const query = new URL(url, "http://x").searchParams;
  const form = method === "POST" ? new URLSearchParams(body) : query;
  return { method, login: request.headers.authorization, form };
}

async function resolves(registry: ScriptedRegistry, auth?: RegistryAuth): Promise<void> {
  using client = await openClient(`${registry.host}/a/b:c`, auth ? { auth } : {});
  assert.equal((await client.resolve(call())).digest, image.manifest.digest);
}

const answers: readonly string[] = [
  '{"token":"good"}',
  '{"access_token":"good"}',
  '{"token":null,"access_token":"good"}',
  '{"token":"good","access_token":null}',
  '{"token":"","access_token":"good"}',
  '{"token":"good","expires_in":"never","issued_at":7}',
  '{"Token":"good"}',
  '{"token":"other","access_token":"good"}',
];
for (const body of answers) {
  test(`a token server that answers ${body} gives a token`, async () => {
    await using registry = await serve(says(200, body));
    await resolves(registry);
    await resolves(registry, me);
  });
}

test("a token that comes compressed without being asked for so is read", async () => {
  await using registry = await serve((_asked, response) => {
    response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync('{"token":"good"}'));
  });
  await resolves(registry);
});

for (const body of [
  "",
  "{}",
  '{"token":null}',
  "null",
  "<html>",
  '{"token":"a b"}',
  '{"token":7}',
]) {
  test(`a token server that answers ${JSON.stringify(body)} gives none`, async () => {
    await using registry = await serve(says(200, body));
    await assert.rejects(resolves(registry), { code: "UNAUTHENTICATED", message: /no token/ });
  });
}

for (const status of [400, 401, 404, 405, 501]) {
  test(`a token server that answers GET with ${status} is asked by POST`, async () => {
    await using registry = await serve((asked, response) => {
      if (asked.method === "GET") return says(status)(asked, response);
      assert.equal(asked.form.get("grant_type"), "password");
      assert.equal(asked.form.get("username"), "me");
      assert.equal(asked.form.get("password"), "s3cret");
      assert.equal(asked.form.get("scope"), "repository:a/b:pull");
      good(asked, response);
    });
    await resolves(registry, me);
  });

  test(`a token server that answers POST with ${status} is asked by GET, with an identity token`, async () => {
    await using registry = await serve((asked, response) => {
      if (asked.method === "POST") {
        assert.equal(asked.form.get("grant_type"), "refresh_token");
        assert.equal(asked.form.get("refresh_token"), "id3ntity");
        return says(status)(asked, response);
      }
      assert.equal(asked.login, basic("me:id3ntity"));
      good(asked, response);
    });
    await resolves(registry, { username: "me", identityToken: "id3ntity" });
  });
}

for (const status of [400, 401, 404, 405, 501]) {
  test(`a realm that answers GET with ${status} is sent no POST without a login`, async () => {
    const methods: string[] = [];
    await using registry = await serve((asked, response) => {
      methods.push(asked.method);
      says(status)(asked, response);
    });
    await assert.rejects(resolves(registry), { message: new RegExp(`status ${status}`) });
    assert.deepEqual([...new Set(methods)], ["GET"]);
  });
}

test("a token server that takes neither GET nor POST is quoted, without what it was sent", async () => {
  const odd = '{"errors":[{"code":"UNAUTHORIZED","message":"wrong login or password"}]}';
  await using registry = await serve((asked, response) =>
    says(asked.method === "GET" ? 401 : 404, odd)(asked, response),
  );
  await assert.rejects(resolves(registry, me), {
    code: "UNAUTHENTICATED",
    message: /refuses a token: status 401: UNAUTHORIZED: wrong login or password$/,
  });
  await using curious = await serve((asked, response) =>
    says(403, `{"message":"${asked.login} is not me:s3cret"}`)(asked, response),
  );
  await assert.rejects(resolves(curious, me), {
    code: "PERMISSION_DENIED",
    message: /status 403$/,
  });
});

const challenges: readonly (readonly [string, Challenge])[] = [
  ["no service", (host) => `Bearer realm="http://${host}/token"`],
  ["an empty scope", (host) => `Bearer realm="http://${host}/token",scope=""`],
  ["a relative realm", () => 'Bearer realm="/token",service="s"'],
  ["a realm without a scheme", (host) => `Bearer realm="//${host}/token"`],
  ["a realm without quotes", (host) => `Bearer realm=http://${host}/token?x=y,service=s`],
  ["a realm with a query", (host) => `Bearer realm="http://${host}/token?x=y"`],
  ["upper case", (host) => `BEARER REALM="http://${host}/token"`],
  ["Basic behind it", (host) => `Bearer realm="http://${host}/token", Basic realm="x"`],
  ["Basic before it", (host) => `Basic realm="x", Bearer realm="http://${host}/token"`],
  ["Basic in another line", (host) => ['Basic realm="x"', `Bearer realm="http://${host}/token"`]],
  ["other schemes", (host) => ["Negotiate", "NTLM TlRM==", `Bearer realm="http://${host}/token"`]],
  [
    "a broken line",
    (host) => ['Bearer realm="never closed', `Bearer realm="http://${host}/token"`],
  ],
  ["a realm that is none", (host) => ['Bearer realm=""', `Bearer realm="http://${host}/token"`]],
];

for (const [what, challenge] of challenges) {
  test(`a challenge with ${what} leads to a token for the repository`, async () => {
    await using registry = await serve((asked, response) => {
      const scopes = asked.form.getAll("scope").join(" ").split(" ");
      assert.ok(scopes.includes("repository:a/b:pull"), scopes.join());
      good(asked, response);
    }, challenge);
    await resolves(registry);
    await resolves(registry, me);
  });
}

test("a scope of something else is asked for beside the repository's", async () => {
  await using registry = await serve(
    (asked, response) => {
      assert.deepEqual(asked.form.getAll("scope"), ["registry:catalog:*", "repository:a/b:pull"]);
      good(asked, response);
    },
    (host) => `Bearer realm="http://${host}/token",scope="registry:catalog:*"`,
  );
  await resolves(registry);
});

const both: Challenge = (host) => [`Bearer realm="http://${host}/token"`, 'Basic realm="x"'];
const ownLogin = { accepted: [basic("me:s3cret")] };

for (const [what, token] of [
  ["a token server refuses", says(403)],
  ["a token server does not know", says(404)],
  ["a registry does not take", (_asked, response) => response.end(`{"token":"${Math.random()}"}`)],
] satisfies readonly (readonly [string, TokenServer])[]) {
  test(`Basic is tried where it is offered beside a token that ${what}`, async () => {
    await using registry = await serve(token, both, ownLogin);
    await resolves(registry, me);
  });
}

for (const status of [401, 403]) {
  test(`a token for too little (${status}) is followed by one for what the registry names`, async () => {
    await using registry = await serve(
      ({ form }, response) => {
        const isMore = form.getAll("scope").includes("repository:a/b:pull,metadata");
        response.end(`{"token":"${isMore ? "good" : "little"}"}`);
      },
      (host, sent) => {
        const more = ',error="insufficient_scope",scope="repository:a/b:pull,metadata"';
        return `Bearer realm="http://${host}/token"${sent ? more : ""}`;
      },
      { status },
    );
    if (status === 401) await resolves(registry);
    // Without the word of what is missing a 403 asks for nothing.
    else await assert.rejects(resolves(registry), { code: "PERMISSION_DENIED" });
  });
}

test("a token that is over in the middle is followed by another", async () => {
  let given = 0;
  let uses = 0;
  await using registry = await serveImage(image, (request, response) => {
    if (request.url?.startsWith("/token")) {
      given += 1;
      uses = 0;
      response.end(`{"token":"${given}"}`);
      return true;
    }
    if (request.headers.authorization === `Bearer ${given}` && uses < 1) {
      uses += 1;
      return false;
    }
    const realm = `Bearer realm="http://${request.headers.host}/token",error="invalid_token"`;
    response.writeHead(401, { "www-authenticate": realm }).end();
    return true;
  });
  using client = await openClient(`${registry.host}/a/b:c`);
  const target = await client.resolve(call());
  await client.document(target, call());
  await client.assertReadable(image.layer as typeof target.digest, call());
  assert.equal(given, 3);
});

test("a registry token is shown as it is, and a refused one is the end", async () => {
  await using registry = await serve(good, bearer, { accepted: ["Bearer mine"] });
  await resolves(registry, { registryToken: "mine" });
  await assert.rejects(resolves(registry, { registryToken: "other" }), {
    code: "UNAUTHENTICATED",
  });
  assert.ok(registry.heard.every((said) => !said.includes("/token")));
});

test("a login is for the host that it is named for, and its token server", async () => {
  await using registry = await serve(good);
  const auth = { ...me, serverAddress: "elsewhere.test" };
  await resolves(registry, auth);
  for (const said of registry.heard) assert.ok(!said.includes("s3cret"), said);
});

const busy: Handler = (request, response) => {
  response.writeHead(429, { "retry-after": "3600" }).end('{"details":"slow down"}');
  return request.url !== undefined;
};

test("a token server that is busy for an hour is told", async () => {
  await using tokens = await serveImage(image, busy);
  await using registry = await serve(good, () => `Bearer realm="http://${tokens.host}/token"`);
  await assert.rejects(resolves(registry, me), {
    code: "UNAVAILABLE",
    message: /refuses a token: status 429: slow down \(it wants to be asked again in 60 minutes\)/,
  });
  assert.equal(tokens.heard.length, 1);
});

for (const isElsewhere of [false, true]) {
  test(`a login of hosts.toml is for the tokens of ${isElsewhere ? "another" : "the same"} server too`, async () => {
    const heard: (string | undefined)[] = [];
    const tokens: TokenServer = ({ login }, response) => {
      heard.push(login);
      if (login === basic("node:k3y-0f-ours")) response.end('{"token":"good"}');
      else response.writeHead(401).end(`{"details":"not ${login}"}`);
    };
    await using other = await serve(tokens);
    const challenge: Challenge = (host) =>
      `Bearer realm="http://${isElsewhere ? other.host : host}/token",service="s"`;
    await using registry = await serve(tokens, challenge);
    const resolve = async (login: string): Promise<string> => {
      const hostsToml = `[header]\nauthorization = "${basic(login)}"`;
      using client = await openClient(`${registry.host}/a/b:c`, { hostsToml });
      return (await client.resolve(call())).digest;
    };
    assert.equal(await resolve("node:k3y-0f-ours"), image.manifest.digest);
    await assert.rejects(resolve("node:wrong-k3y"), (error: Error) => {
      assert.match(error.message, /refuses a token: status 401$/);
      return true;
    });
    // The pod's own login counts more.
    const hostsToml = `[header]\nauthorization = "${basic("node:k3y-0f-ours")}"`;
    using client = await openClient(`${registry.host}/a/b:c`, { hostsToml, auth: me });
    await assert.rejects(client.resolve(call()), { code: "UNAUTHENTICATED" });
    assert.ok(heard.includes(basic("me:s3cret")));
  });
}
