// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { validateHeaderName, validateHeaderValue } from "node:http";
import path from "node:path";
import { stringify } from "smol-toml";
import { parseHosts, type RegistryHost } from "../../../src/images/registry/hosts.ts";
import { ByteSource } from "../byte-source.ts";
import { present } from "../support/present.ts";
import { type FuzzTarget, refused } from "../target.ts";

const dir = "/etc/berthd/certs.d/registry.test";
const domains = ["registry.test", "docker.io", "registry.test:5000", "localhost:5000"] as const;

/** The text of a hosts.toml, or the bytes from which one is made that says what it must mean. */
export const target: FuzzTarget = {
  name: "hosts-toml",
  parses: [
    "src/images/registry/hosts.ts",
    "src/images/registry/hosts-file.ts",
    "src/images/registry/go-duration.ts",
  ],
  dictionary: [
    'server = "',
    '[host."https://mirror.test"]\n',
    'capabilities = ["pull", "resolve"]\n',
    'ca = ["a.pem", "/b.pem"]\n',
    'client = [["a.cert", "a.key"], "both.pem"]\n',
    "skip_verify = true\n",
    "override_path = true\n",
    'dial_timeout = "5s"\n',
    'dial_timeout = "1.5h30m.5s"\n',
    "[header]\n",
    'authorization = "Bearer x"\n',
    "\\u0000",
    "__proto__",
    "constructor",
    "http://",
    "https://",
    "[::1]",
    "//////",
    '"""',
    "[[",
  ],
  *seeds() {
    const full = `
server = "https://registry.test/base/"
skip_verify = true
[host."https://mirror.test/v2"]
capabilities = ["pull"]
ca = "ca.pem"
client = [["c.cert", "c.key"], "/both.pem"]
dial_timeout = "1m30s"
override_path = true
[host."https://mirror.test/v2".header]
x-a = ["1", "2"]
Authorization = "Basic x"
[host."localhost:5000"]
[host."registry.test"]
`;
    yield Buffer.concat([Buffer.from([0]), Buffer.from(full)]);
    yield Buffer.concat([
      Buffer.from([4]),
      Buffer.from('[host."https://[::1]:5000"]\nca = ["x", "y"]'),
    ]);
    yield Buffer.concat([
      Buffer.from([0]),
      Buffer.from(`server = "https://a${"/".repeat(4000)}b"`),
    ]);
    yield Buffer.from(`\x01${"\x01\x02\x03abc\x05\x01\x04xyz_\x03\x01".repeat(8)}`, "latin1");
  },
  run(input) {
    const [circumstances = 0] = input;
    const domain = domains[(circumstances >> 1) & 3] ?? domains[0];
    const bytes = input.subarray(1);
    if ((circumstances & 1) === 0) {
      checkText(bytes.toString("utf8"), domain);
      return;
    }
    const made = makeHosts(new ByteSource(bytes), domain);
    const found = parseHosts(stringify(made.file), dir, domain);
    assert.deepEqual(found, made.meaning);
  },
};

function checkText(text: string, domain: string): void {
  let hosts: RegistryHost[];
  try {
    hosts = parseHosts(text, dir, domain);
  } catch (error) {
    refused(error, "FAILED_PRECONDITION");
    assert.match((error as Error).message, /^\/etc\/berthd\/certs\.d\/registry\.test\/hosts\.toml/);
    return;
  }
  assert.ok(hosts.length >= 1);
  for (const host of hosts) {
    const url = new URL(host.base);
    assert.match(url.protocol, /^https?:$/);
    assert.equal(host.base, `${url.origin}${url.pathname === "/" ? "" : url.pathname}`);
    assert.ok(!host.base.endsWith("/"), host.base);
    for (const [name, value] of Object.entries(host.headers)) {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    }
    for (const file of [...host.tls.ca, ...host.tls.client.flat()])
      assert.ok(path.isAbsolute(file));
    assert.ok(host.connectTimeoutMs > 0 && Number.isSafeInteger(host.connectTimeoutMs));
    assert.ok(!(host.isMirror && host.isOrigin));
  }
}

interface Made {
  readonly file: Record<string, unknown>;
  readonly meaning: RegistryHost[];
}

/** A file, and what its hosts are by the words of the documentation. */
function makeHosts(bytes: ByteSource, domain: string): Made {
  const top = makeTable(bytes);
  const names = [
    "https://m.test",
    "http://n.test:81/p",
    "o.test/v2/",
    "127.0.0.1:5",
    "registry.test",
    "docker.io",
  ];
  const some = new Map(
    bytes.list(4, () => [names[bytes.byte() % names.length] ?? "", makeTable(bytes)] as const),
  );
  const server = bytes.maybe(() =>
    bytes.pick(["https://registry.test", "http://other.test/x//", ""]),
  );
  const file = present({
    server,
    ...top.table,
    host: Object.fromEntries([...some].map(([name, { table }]) => [name, table])),
  });
  const hub = domain === "docker.io" ? "registry-1.docker.io" : domain;
  // A port of the loopback that nothing is said of may speak TLS, with whatever certificate, or none.
  const isEither = !server && !top.hasTls && domain.startsWith("localhost:");
  const own = isEither
    ? {
        ...top,
        hasTls: true,
        host: {
          ...top.host,
          tls: { ...top.host.tls, skipVerify: true, isUnverifiedHere: true },
          connectTimeoutMs: Math.min(top.host.connectTimeoutMs, 10_000),
        },
      }
    : top;
  const mirrors = [...some].flatMap(([name, made]) => meaningOf(made, name, domain, false));
  return { file, meaning: [...mirrors, ...meaningOf(own, server || hub, domain, true)] };
}

interface MadeTable {
  readonly table: Record<string, unknown>;
  readonly keepsPath: boolean;
  readonly hasTls: boolean;
  readonly host: Omit<RegistryHost, "base" | "isMirror" | "isOrigin">;
}

function makeTable(bytes: ByteSource): MadeTable {
  const capabilities = bytes.maybe(() =>
    bytes.list(3, () => bytes.pick(["pull", "resolve", "push", "referrers"])),
  );
  const ca = bytes.maybe(() =>
    bytes.list(2, () => bytes.pick(["a.pem", "/abs/b.pem", "../c.pem"])),
  );
  const client = bytes.maybe(() =>
    bytes.list(2, () =>
      bytes
        .list(1, () => "k.key")
        .concat("c.cert")
        .reverse(),
    ),
  );
  const skip = bytes.maybe(() => bytes.byte() % 2 === 0);
  const override = bytes.maybe(() => bytes.byte() % 2 === 0);
  const seconds = bytes.maybe(() => bytes.byte());
  const header = bytes.maybe(() =>
    Object.fromEntries(
      bytes.list(
        2,
        () => [bytes.pick(["X-A", "x-b"]), bytes.list(3, () => `v${bytes.byte()}`)] as const,
      ),
    ),
  );
  const table = present({
    capabilities,
    ca,
    client,
    skip_verify: skip,
    override_path: override,
    dial_timeout: seconds === undefined ? undefined : `${seconds}s`,
    header,
  });
  const inDir = (file: string): string =>
    path.posix.normalize(file.startsWith("/") ? file : `${dir}/${file}`);
  const can = capabilities?.length ? capabilities : ["pull", "resolve", "push"];
  return {
    table,
    keepsPath: override === true,
    hasTls: skip !== undefined || Boolean(ca?.length) || Boolean(client?.length),
    host: {
      canResolve: can.includes("resolve"),
      canPull: can.includes("pull"),
      canPush: can.includes("push"),
      headers: Object.fromEntries(
        Object.entries(header ?? {}).map(([name, values]) => [
          name.toLowerCase(),
          values.join(", "),
        ]),
      ),
      tls: {
        named: `${dir}/hosts.toml`,
        skipVerify: skip === true,
        ca: (ca ?? []).map(inDir),
        client: (client ?? []).map(([cert = "", key = cert]) => [inDir(cert), inDir(key)]),
      },
      connectTimeoutMs: seconds ? seconds * 1000 : 30_000,
    },
  };
}

function meaningOf(
  { host, keepsPath, hasTls }: MadeTable,
  name: string,
  domain: string,
  isServer: boolean,
): RegistryHost[] {
  const isLoopback = /^(localhost|127\.)/.test(name);
  const url = new URL(
    name.startsWith("http") ? name : `${isLoopback ? "http" : "https"}://${name}`,
  );
  let base = url.href;
  while (base.endsWith("/")) base = base.slice(0, -1);
  if (!keepsPath && !base.endsWith("/v2")) base += "/v2";
  const hubs = ["docker.io", "registry-1.docker.io"];
  const isNamed = url.host === domain || (hubs.includes(url.host) && hubs.includes(domain));
  const rest = { ...host, isMirror: !isServer && !isNamed, isOrigin: isServer || isNamed };
  const mayBeTls = hasTls && url.protocol === "http:" && url.port !== "";
  if (!mayBeTls) return [{ base, ...rest }];
  const secured = base.replace("http:", "https:");
  return [
    { base: secured, ...rest },
    { base, ...rest, plainOf: secured },
  ];
}
