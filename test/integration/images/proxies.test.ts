// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { after, before, test } from "node:test";
import { type CorporateCa, corporateCa, type KeyPair } from "../../support/corporate-ca.ts";
import { findProgram } from "../../support/lacking.ts";
import { endChild, freePort } from "../../support/registry.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type ScriptedProxyOptions, startProxy } from "../../support/scripted-proxy.ts";
import {
  basic,
  guard,
  type ScriptedImage,
  type ScriptedRegistry,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { startSocks } from "../../support/scripted-socks.ts";
import { until } from "../../support/until.ts";
import { openLibrary } from "./library.ts";

// Pulls through proxies, of a registry whose name only the proxies know. The environment is the process's own, as a
// unit would set it.

const lack = findProgram("openssl") ? false : "needs openssl";
const skip = process.getuid?.() === 0 ? lack : "needs root";
const names = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"];
const call = () => ({ signal: AbortSignal.timeout(240_000) });

let home: Scratch;
let image: ScriptedImage;
let ca: CorporateCa;
let certificate: KeyPair;
let libraries = 0;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "proxies" });
  image = await scriptedImage(await home.folder("layout"), "proxied");
  ca = await corporateCa(await home.folder("ca"));
  certificate = await ca.sign("registry", "DNS:registry.test,IP:127.0.0.1,IP:0.0.0.0");
});

after(async () => home?.[Symbol.asyncDispose]());

/** Sets the environment for one test; all of it that counts, in both cases. */
function environment(values: Readonly<Record<string, string>>): Disposable {
  const all = names.flatMap((name) => [name, name.toLowerCase()]);
  const earlier = all.map((name) => [name, process.env[name]] as const);
  for (const name of all) delete process.env[name];
  Object.assign(process.env, values);
  return {
    [Symbol.dispose]: () => {
      for (const [name, value] of earlier) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    },
  };
}

interface Setting {
  readonly scheme: "http" | "https";
  readonly registry: ScriptedRegistry;
  readonly proxy?: string;
  readonly noProxy?: readonly string[];
}

/** Pulls from registry.test, by https, or by http where hosts.toml says so. */
async function pull({
  scheme,
  proxy = "",
  noProxy = [],
}: Omit<Setting, "registry">): Promise<string> {
  libraries += 1;
  const root = await home.folder(`library ${libraries}`);
  const configPath = path.join(root, "certs.d");
  await mkdir(path.join(configPath, "registry.test"), { recursive: true });
  await writeFile(
    path.join(configPath, "registry.test/hosts.toml"),
    `server = "${scheme}://registry.test"`,
  );
  const { images } = await openLibrary(path.join(root, "berth"), {
    registry: { configPath, proxy, noProxy },
  });
  return (await images.pull("registry.test/a/b:c", call())).id;
}

const routesTo = ({ host }: { readonly host: string }) => new Map([["registry.test", host]]);
const tlsOf = ({ cert, key }: KeyPair) => ({ cert, key });
const registryOf = (scheme: string) =>
  serveImage(image, () => false, scheme === "https" ? tlsOf(certificate) : undefined);

const ways: readonly {
  readonly name: string;
  readonly scheme: "http" | "https";
  readonly options?: Partial<ScriptedProxyOptions>;
  /** By the proxy's address. */
  readonly env?: (proxy: string) => Readonly<Record<string, string>>;
  readonly proxy?: (proxy: string) => string;
}[] = [
  { name: "https by HTTPS_PROXY", scheme: "https", env: (at) => ({ HTTPS_PROXY: `http://${at}` }) },
  { name: "http by http_proxy", scheme: "http", env: (at) => ({ http_proxy: at }) },
  {
    name: "https with a login",
    scheme: "https",
    options: { wants: basic("us er:p@ss") },
    env: (at) => ({ https_proxy: `http://us%20er:p%40ss@${at}` }),
  },
  {
    name: "http with a login",
    scheme: "http",
    options: { wants: basic("user:pass") },
    env: (at) => ({ HTTP_PROXY: `http://user:pass@${at}/` }),
  },
  {
    name: "https by the configuration, which counts more than the environment",
    scheme: "https",
    env: () => ({ HTTPS_PROXY: "http://127.0.0.1:1" }),
    proxy: (at) => `http://${at}`,
  },
];

for (const { name, scheme, options, env = () => ({}), proxy = () => "" } of ways) {
  test(`a pull through a proxy: ${name}`, { skip }, async () => {
    await using registry = await registryOf(scheme);
    await using way = await startProxy({ routes: routesTo(registry), ...options });
    using _environment = environment({ SSL_CERT_FILE: ca.certFile, ...env(way.host) });
    assert.equal(await pull({ scheme, proxy: proxy(way.host) }), image.id);
    const begin = scheme === "https" ? "CONNECT registry.test:443" : "GET http://registry.test/v2/";
    assert.ok(
      way.asked.some((line) => line.startsWith(begin)),
      way.asked.join("\n"),
    );
    assert.doesNotMatch(registry.heard.join("\n"), /proxy-auth/i);
  });
}

for (const scheme of ["http", "https"] as const) {
  test(`a pull over ${scheme} through a SOCKS proxy, with a login`, { skip }, async () => {
    await using registry = await registryOf(scheme);
    await using way = await startSocks({ routes: routesTo(registry), wants: "user:pass" });
    const variable = scheme === "http" ? "HTTP_PROXY" : "https_proxy";
    using _environment = environment({
      SSL_CERT_FILE: ca.certFile,
      [variable]: `socks5://user:pass@${way.host}`,
    });
    assert.equal(await pull({ scheme }), image.id);
    assert.equal(way.asked[0], `3 registry.test:${scheme === "http" ? 80 : 443}`);
    assert.doesNotMatch(registry.heard.join("\n"), /proxy-auth/i);
  });

  test(`a pull over ${scheme} through a proxy that is spoken to over TLS`, { skip }, async () => {
    await using registry = await registryOf(scheme);
    const wants = basic("user:pass");
    await using way = await startProxy({
      routes: routesTo(registry),
      wants,
      tls: tlsOf(certificate),
    });
    using _environment = environment({ SSL_CERT_FILE: ca.certFile });
    assert.equal(await pull({ scheme, proxy: `https://user:pass@${way.host}` }), image.id);
    assert.ok(way.asked.length > 0);
  });
}

test("a registry is reached by its name in any case, and at an IPv6 address", {
  skip,
}, async (t) => {
  await using registry = await serveImage(image);
  using _environment = environment({});
  const port = registry.host.split(":").at(-1);
  const { images } = await openLibrary(await home.folder("any case"));
  assert.equal((await images.pull(`LOCALHOST:${port}/a/b:c`, call())).id, image.id);
  const six = net.createServer((client) => {
    const behind = net.connect(Number(port), "127.0.0.1");
    client.pipe(behind).pipe(client);
    client.on("error", () => behind.destroy());
    behind.on("error", () => client.destroy());
  });
  const isThere = await new Promise((resolve) => {
    six.once("error", () => resolve(false));
    six.listen(0, "::1", () => resolve(true));
  });
  if (!isThere) return t.skip("needs IPv6");
  await using _six = six;
  const { port: sixth } = six.address() as net.AddressInfo;
  assert.equal((await images.pull(`[::1]:${sixth}/a/b:d`, call())).id, image.id);
});

test("what NO_PROXY names, and the loopback, has no proxy", { skip }, async () => {
  await using registry = await serveImage(image);
  using _environment = environment({
    HTTP_PROXY: "127.0.0.1:1",
    HTTPS_PROXY: "127.0.0.1:1",
    NO_PROXY: ".test",
  });
  const { images } = await openLibrary(await home.folder("direct"));
  assert.equal((await images.pull(`${registry.host}/a/b:c`, call())).id, image.id);
  await assert.rejects(pull({ scheme: "https" }), (error: Error) => {
    assert.match(error.message, /"registry\.test".*(ENOTFOUND|EAI_AGAIN)/); // asked directly
    assert.doesNotMatch(error.message, /proxy/);
    return true;
  });
});

const failures: readonly {
  readonly name: string;
  readonly scheme: "http" | "https";
  readonly options?: Partial<ScriptedProxyOptions>;
  readonly message: RegExp;
}[] = ["http" as const, "https" as const].flatMap((scheme) => [
  {
    name: "that wants another login",
    scheme,
    options: { wants: basic("other:other") },
    message: /cannot reach "registry\.test" through proxy "127\.0\.0\.1:\d+": it wants a login/,
  },
  {
    name: "that cannot reach the registry",
    scheme,
    options: { routes: new Map() },
    message: /"registry\.test" through proxy "127\.0\.0\.1:\d+": .*502/,
  },
  {
    name: "whose certificate nobody knows",
    scheme,
    options: { tls: {} },
    message:
      /cannot reach "registry\.test" through proxy "127\.0\.0\.1:\d+": .*(ISSUER|SELF_SIGNED|VERIFY)/,
  },
]);

for (const { name, scheme, options, message } of failures) {
  test(`a pull over ${scheme} through a proxy ${name} names both, and no password`, {
    skip,
  }, async () => {
    await using registry = await registryOf(scheme);
    const tls = options?.tls && { tls: tlsOf(certificate) };
    await using way = await startProxy({ routes: routesTo(registry), ...options, ...tls });
    using _environment = environment({ SSL_CERT_DIR: home.path });
    const proxy = `${tls ? "https" : "http"}://user:s3cret@${way.host}`;
    await assert.rejects(pull({ scheme, proxy }), (error: Error) => {
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /s3cret|user/);
      return true;
    });
    assert.doesNotMatch(registry.heard.join("\n"), /proxy-auth/i);
  });
}

test("a mirror behind a proxy that hangs gives way to the next host", { skip }, async () => {
  await using registry = await serveImage(image);
  await using way = await startProxy({ routes: new Map(), hangs: true });
  using _environment = environment({ HTTPS_PROXY: way.host });
  const configPath = await home.folder("hanging");
  await mkdir(path.join(configPath, registry.host));
  await writeFile(
    path.join(configPath, registry.host, "hosts.toml"),
    '[host."https://mirror.test"]\ndial_timeout = "200ms"\n',
  );
  const { images } = await openLibrary(await home.folder("hanging library"), {
    registry: { configPath },
  });
  assert.equal((await images.pull(`${registry.host}/a/b:c`, call())).id, image.id);
});

test("a pull through tinyproxy, with a login", { skip }, async (t) => {
  const program = findProgram("tinyproxy");
  if (!program) return t.skip("needs tinyproxy");
  await using registry = await serveImage(
    image,
    guard(basic("me:pw"), 'Basic realm="r"'),
    tlsOf(certificate),
  );
  const port = await freePort();
  const config = path.join(home.path, "tinyproxy.conf");
  await writeFile(config, `Port ${port}\nListen 127.0.0.1\nBasicAuth user pass\nTimeout 60\n`);
  const child = spawn(program, ["-d", "-c", config], { stdio: "ignore" });
  await using _child = { [Symbol.asyncDispose]: () => endChild(child) };
  const proxy = `http://user:pass@127.0.0.1:${port}`;
  await until("tinyproxy listens", async () => {
    const socket = net.connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.destroy();
    return true;
  });
  using _environment = environment({ SSL_CERT_FILE: ca.certFile });
  const { images } = await openLibrary(await home.folder("tinyproxy"), { registry: { proxy } });
  // An address of this machine that does not count as loopback.
  const name = registry.host.replace("127.0.0.1", "0.0.0.0");
  const auth = { username: "me", password: "pw" };
  assert.equal((await images.pull(`${name}/a/b:c`, { ...call(), auth })).id, image.id);
  assert.doesNotMatch(registry.heard.join("\n"), /proxy-auth/i);
  const wrong = { registry: { proxy: proxy.replace("pass", "wr0ng") } };
  const { images: refused } = await openLibrary(await home.folder("tinyproxy refuses"), wrong);
  await assert.rejects(refused.pull(`${name}/a/b:c`, { ...call(), auth }), {
    code: "UNAVAILABLE",
    message: /through proxy "127\.0\.0\.1:\d+": it (wants a login|does not let us through)/,
  });
});
