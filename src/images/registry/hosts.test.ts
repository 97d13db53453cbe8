// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { parseHosts, registryHosts } from "./hosts.ts";

const bases = (text: string, domain = "example.test"): string[] =>
  parseHosts(text, "/etc/hosts.d", domain).map(({ base }) => base);

const direct: readonly (readonly [string, string])[] = [
  ["docker.io", "https://registry-1.docker.io/v2"],
  ["quay.io", "https://quay.io/v2"],
  ["example.test:5000", "https://example.test:5000/v2"],
  ["localhost", "http://localhost/v2"],
  ["localhost:80", "http://localhost/v2"],
  ["127.8.9.10", "http://127.8.9.10/v2"],
  ["[2001:DB8::1]:5000", "https://[2001:db8::1]:5000/v2"],
  ["Quay.IO", "https://quay.io/v2"],
  ["Docker.io", "https://registry-1.docker.io/v2"],
  ["127.0.0.1.evil.test", "https://127.0.0.1.evil.test/v2"],
  ["localhost.evil.test", "https://localhost.evil.test/v2"],
];

for (const [domain, base] of direct) {
  test(`without a file ${domain} is asked at ${base}`, async () => {
    const hosts = await registryHosts("", domain);
    assert.deepEqual(
      hosts.map((host) => [host.base, host.canPull, host.canResolve, host.isMirror]),
      [[base, true, true, false]],
    );
  });
}

test("hosts are asked in the order of the file, the server last", () => {
  const text = `
server = "https://origin.test"
[host."https://z.test"]
[host."http://a.test:5000/cache"]
[host."m.test/v2"]
`;
  assert.deepEqual(bases(text), [
    "https://z.test/v2",
    "http://a.test:5000/cache/v2",
    "https://m.test/v2",
    "https://origin.test/v2",
  ]);
});

test("each slash of an address counts as one, and dots lead up", () => {
  const text =
    'server = "https://o.test//a//b/"\n[host."https://m.test//"]\n[host."n.test/x/../v2//"]';
  assert.deepEqual(bases(text), [
    "https://m.test/v2",
    "https://n.test/v2",
    "https://o.test/a/b/v2",
  ]);
});

test("keys are read in any case, as Go reads them", () => {
  const text = `
Server = "https://o.test"
[host."https://m.test/p"]
Capabilities = ["pull"]
Override_Path = true
CA = "ca.pem"
`;
  const [mirror, server] = parseHosts(text, "/d", "example.test");
  assert.deepEqual(
    [mirror?.base, mirror?.canResolve, mirror?.tls.ca],
    ["https://m.test/p", false, ["/d/ca.pem"]],
  );
  assert.equal(server?.base, "https://o.test/v2");
});

test("headers that each request has of its own are passed over", () => {
  const text = '[header]\nHost = "else.test"\nContent-Length = "5"\nX-Key = "k"\nUser-Agent = "me"';
  const [host] = parseHosts(text, "/d", "example.test");
  assert.deepEqual(host?.headers, { "x-key": "k", "user-agent": "me" });
});

test("without server the registry itself is last", () => {
  assert.deepEqual(bases(`[host."https://m.test"]`, "docker.io"), [
    "https://m.test/v2",
    "https://registry-1.docker.io/v2",
  ]);
});

test("a capability that we do not know, and a dial_timeout of 0, are as if left out", () => {
  const text = `
[host."https://m.test"]
capabilities = ["resolve", "referrers"]
dial_timeout = "0s"
`;
  const [mirror, origin] = parseHosts(text, "/etc/hosts.d", "example.test");
  assert.deepEqual([mirror?.canPull, mirror?.canResolve], [false, true]);
  assert.equal(mirror?.connectTimeoutMs, origin?.connectTimeoutMs);
  assert.ok((mirror?.connectTimeoutMs ?? 0) > 0);
});

test("a capability that we do not know is told with its file", () => {
  const told: string[] = [];
  const text = 'capabilities = ["PULL", "Referrers"]';
  const [host] = parseHosts(text, "/d", "example.test", (sentence) => void told.push(sentence));
  assert.deepEqual([host?.canPull, host?.canResolve], [true, false]);
  assert.deepEqual(told, ['/d/hosts.toml: capability "referrers" is not known, it is passed over']);
});

test('no capability at all, a server of "" and a dial_timeout of "" are as if left out', () => {
  const text = 'server = ""\ncapabilities = []\ndial_timeout = ""';
  assert.deepEqual(parseHosts(text, "/d", "docker.io"), parseHosts("", "/d", "docker.io"));
});

// Over TLS first, then as they say, where settings of TLS stand beside an address of plain http.
const tlsBeside: readonly (readonly [string, string, readonly string[]])[] = [
  ["", "localhost:5000", ["https://localhost:5000/v2", "http://localhost:5000/v2"]],
  ["", "LocalHost:5000", ["https://localhost:5000/v2", "http://localhost:5000/v2"]],
  ["", "127.0.0.1:5000", ["https://127.0.0.1:5000/v2", "http://127.0.0.1:5000/v2"]],
  ["", "[0:0:0:0:0:0:0:1]:5000", ["https://[::1]:5000/v2", "http://[::1]:5000/v2"]],
  ["", "127.0.0.1:80", ["http://127.0.0.1/v2"]],
  ['server = "http://localhost:5000"', "x", ["http://localhost:5000/v2"]],
  [
    "skip_verify = true",
    "localhost:5000",
    ["https://localhost:5000/v2", "http://localhost:5000/v2"],
  ],
  ['ca = "ca.crt"', "127.0.0.1:5000", ["https://127.0.0.1:5000/v2", "http://127.0.0.1:5000/v2"]],
  ['ca = "ca.crt"', "[::1]:5000", ["https://[::1]:5000/v2", "http://[::1]:5000/v2"]],
  ['client = "c.pem"', "localhost", ["https://localhost/v2", "http://localhost/v2"]],
  ["skip_verify = true", "localhost:80", ["http://localhost/v2"]],
  [
    'server = "http://a.test:5000"\nca = "c"',
    "x",
    ["https://a.test:5000/v2", "http://a.test:5000/v2"],
  ],
  ['server = "http://a.test"\nca = "c"', "x", ["http://a.test/v2"]],
  ['server = "https://a.test:5000"\nca = "c"', "x", ["https://a.test:5000/v2"]],
  ["skip_verify = true", "a.test:5000", ["https://a.test:5000/v2"]],
];

for (const [text, domain, wanted] of tlsBeside) {
  test(`${domain} with ${JSON.stringify(text)} is asked at ${wanted.join(", ")}`, () => {
    assert.deepEqual(bases(text, domain), wanted);
  });
}

test("a host's settings are its own", () => {
  const text = `
[host."https://m.test/special"]
capabilities = ["pull"]
skip_verify = true
ca = "ca.pem"
client = [["cert.pem", "/abs/key.pem"], "both.pem"]
override_path = true
dial_timeout = "5s"
unknown_future_key = 1
[host."https://m.test/special".header]
X-Token = ["a", "b"]
`;
  const [mirror, server] = parseHosts(text, "/etc/certs.d/x", "example.test");
  const named = "/etc/certs.d/x/hosts.toml";
  assert.deepEqual(mirror, {
    base: "https://m.test/special",
    canResolve: false,
    canPull: true,
    canPush: false,
    headers: { "x-token": "a, b" },
    tls: {
      named,
      skipVerify: true,
      ca: ["/etc/certs.d/x/ca.pem"],
      client: [
        ["/etc/certs.d/x/cert.pem", "/abs/key.pem"],
        ["/etc/certs.d/x/both.pem", "/etc/certs.d/x/both.pem"],
      ],
    },
    connectTimeoutMs: 5000,
    isMirror: true,
    isOrigin: false,
  });
  assert.deepEqual(server?.tls, { named, skipVerify: false, ca: [], client: [] });
});

const wrong: readonly (readonly [string, RegExp])[] = [
  ["server = ", /hosts\.toml:\d+:\d+: not valid TOML/],
  ["server = 1", /server/],
  [`[host."https://m.test"]\ncapabilities = "pull"`, /capabilities/],
  [`[host."https://"]`, /^\/etc\/hosts\.d\/hosts\.toml: .*not a registry's address/],
  [
    `[host."https://m.test"]\ndial_timeout = "soon"`,
    /hosts\.toml: host\.https:\/\/m\.test\.dial_timeout: /,
  ],
  [
    `[host."https://m.test".header]\nAuthorization = "Basic s3cret\\n"`,
    /hosts\.toml: host\.https:\/\/m\.test\.header\.Authorization: is not a header$/,
  ],
];

for (const [text, message] of wrong) {
  test(`a hosts.toml of ${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => bases(text), { code: "FAILED_PRECONDITION", message });
  });
}

test("the registry's folder counts before _default", async (t) => {
  const root = await mkdtemp(path.join(os.tmpdir(), "berth hosts-"));
  t.after(() => rm(root, { recursive: true }));
  const write = async (folder: string, server: string): Promise<void> => {
    await mkdir(path.join(root, folder));
    await writeFile(path.join(root, folder, "hosts.toml"), `server = "https://${server}"`);
  };
  const found = async (domain: string): Promise<string | undefined> =>
    (await registryHosts(root, domain))[0]?.base;
  await write("_default", "default.test");
  await write("one.test", "one");
  await write("two.test_5000_", "two");
  await write("three.test_5000", "three");
  await write("four.test:5000", "four");
  await mkdir(path.join(root, "empty.test"));
  assert.equal(await found("one.test"), "https://one/v2");
  assert.equal(await found("two.test:5000"), "https://two/v2");
  assert.equal(await found("three.test:5000"), "https://three/v2");
  assert.equal(await found("four.test:5000"), "https://four/v2");
  assert.equal(await found("empty.test"), "https://default.test/v2");
  assert.equal(await found("other.test"), "https://default.test/v2");
});

test("a host that is the registry itself is no mirror of it", () => {
  const text = `
server = "https://elsewhere.test"
[host."https://example.test"]
[host."https://example.test:8443"]
[host."https://mirror.test"]
`;
  const kinds = (dir: string) =>
    parseHosts(text, dir, "example.test").map(({ isMirror, isOrigin }) => [isMirror, isOrigin]);
  const [itself, mirror] = [
    [false, true],
    [true, false],
  ];
  assert.deepEqual(kinds("/etc/certs.d/example.test"), [itself, mirror, mirror, itself]);
  assert.deepEqual(kinds("/etc/certs.d/_default"), [itself, mirror, mirror, mirror]);
});

test("the first of several folders that tells of a registry counts", async (t) => {
  const root = await mkdtemp(path.join(os.tmpdir(), "berth hosts-"));
  t.after(() => rm(root, { recursive: true }));
  const write = async (folder: string, server: string): Promise<void> => {
    await mkdir(path.join(root, folder), { recursive: true });
    await writeFile(path.join(root, folder, "hosts.toml"), server);
  };
  await write("a/one.test", 'server = "https://a"');
  await write("b/one.test", 'server = "https://b"');
  await write("b/two.test", 'server = "https://b"');
  await write("b/broken.test", "server = 1");
  const both = `${root}/a:${root}/missing:${root}/b`;
  const base = async (domain: string): Promise<string | undefined> =>
    (await registryHosts(both, domain))[0]?.base;
  assert.equal(await base("one.test"), "https://a/v2");
  assert.equal(await base("two.test"), "https://b/v2");
  assert.equal(await base("three.test"), "https://three.test/v2");
  await assert.rejects(base("broken.test"), {
    code: "FAILED_PRECONDITION",
    message: /b\/broken\.test\/hosts\.toml: server: /,
  });
});

test("an address of many slashes is read in no time, and quoted in bounds", () => {
  const slashes = "/".repeat(400_000);
  const [host] = parseHosts(`server = "https://example.test/${slashes}x"`, "/d", "example.test");
  assert.equal(host?.base, "https://example.test/x/v2");
  assert.throws(
    () => parseHosts(`server = "https://[${slashes}"`, "/d", "example.test"),
    (error: Error) => error.message.length < 500,
  );
});

test("a folder without hosts.toml has certificates as Docker has them", async (t) => {
  const root = await mkdtemp(path.join(os.tmpdir(), "berth hosts-"));
  t.after(() => rm(root, { recursive: true }));
  const fill = async (folder: string, ...files: string[]): Promise<void> => {
    await mkdir(path.join(root, folder), { recursive: true });
    for (const file of files) await writeFile(path.join(root, folder, file), "");
  };
  const tls = async (domain: string) => {
    const [host] = await registryHosts(root, domain);
    const [ca, client] = [host?.tls.ca, host?.tls.client];
    const names = (files: readonly string[] | undefined) =>
      files?.map((file) => path.relative(root, file));
    return { base: host?.base, ca: names(ca), client: client?.map(names) };
  };
  await fill("one.test", "b.crt", "a.crt", "client.cert", "client.key", "lone.cert", "README");
  await fill("two.test_5000_", "ca.crt");
  await fill("[::1]:5000", "ca.crt");
  await fill("empty.test", "notes");
  await fill("file.test", "ca.crt", "hosts.toml");
  await fill("_default", "any.crt");
  assert.deepEqual(await tls("one.test"), {
    base: "https://one.test/v2",
    ca: ["one.test/a.crt", "one.test/b.crt"],
    client: [
      ["one.test/client.cert", "one.test/client.key"],
      ["one.test/lone.cert", "one.test/lone.cert"],
    ],
  });
  assert.deepEqual((await tls("two.test:5000")).ca, ["two.test_5000_/ca.crt"]);
  assert.deepEqual(await tls("[::1]:5000"), {
    base: "https://[::1]:5000/v2",
    ca: ["[::1]:5000/ca.crt"],
    client: [],
  });
  assert.deepEqual((await tls("empty.test")).ca, ["_default/any.crt"]);
  // An empty file counts as none.
  assert.deepEqual((await tls("file.test")).ca, ["file.test/ca.crt"]);
  const [fallen] = await registryHosts(root, "other.test");
  assert.deepEqual(
    [fallen?.base, fallen?.isMirror, fallen?.isOrigin],
    ["https://other.test/v2", false, true],
  );
});

test("folders are found in any case, the very name first", async (t) => {
  const root = await mkdtemp(path.join(os.tmpdir(), "berth hosts-"));
  t.after(() => rm(root, { recursive: true }));
  for (const folder of ["Reg.Test_5000_", "two.test", "TWO.test"]) {
    await mkdir(path.join(root, folder));
    await writeFile(path.join(root, folder, "hosts.toml"), `server = "https://found/${folder}"`);
  }
  const base = async (domain: string) => (await registryHosts(root, domain))[0]?.base;
  assert.equal(await base("reg.test:5000"), "https://found/Reg.Test_5000_/v2");
  assert.equal(await base("REG.test:5000"), "https://found/Reg.Test_5000_/v2");
  assert.equal(await base("two.test"), "https://found/two.test/v2");
  assert.equal(await base("TWO.test"), "https://found/TWO.test/v2");
});

const stray: readonly (readonly [text: string, told: readonly string[]])[] = [
  [
    'capabilites = ["pull"]',
    ['key "capabilites" is not known, it is passed over (did you mean "capabilities"?)'],
  ],
  [
    '[hosts."https://m.test"]',
    ['key "hosts" is not known, it is passed over (did you mean "host"?)'],
  ],
  ["plugins = 1", ['key "plugins" is not known, it is passed over']],
  [
    '[host."https://m.test"]\nskip-verify = true\nCA = "x"',
    [
      'key "skip-verify" of host "https://m.test" is not known, it is passed over (did you mean "skip_verify"?)',
    ],
  ],
];

for (const [text, told] of stray) {
  test(`keys that are passed over are told: ${text.split("\n")[0]}`, () => {
    const heard: string[] = [];
    parseHosts(text, "/etc/d", "example.test", (sentence) => heard.push(sentence));
    assert.deepEqual(
      heard,
      told.map((one) => `/etc/d/hosts.toml: ${one}`),
    );
  });
}

const refused: readonly (readonly [text: string, says: string])[] = [
  ['[host."ftp://m.test"]', ': "ftp://m.test": a registry is asked by http or https, not by "ftp"'],
  ["[header]\nauthorization = 5", ": header.authorization: expected a string or a list of strings"],
  ["client = 5", ": client: expected a file, or a list of files and pairs of certificate and key"],
];

for (const [text, says] of refused) {
  test(`a file is refused with the reason: ${text.split("\n").at(-1)}`, () => {
    assert.throws(() => parseHosts(text, "/etc/d", "example.test"), {
      code: "FAILED_PRECONDITION",
      message: `/etc/d/hosts.toml${says}`,
    });
  });
}

test("what is no TOML is refused with the place and the reason", () => {
  assert.throws(() => parseHosts("server = \n", "/etc/d", "example.test"), {
    message: /^\/etc\/d\/hosts\.toml:1:\d+: not valid TOML: \w/,
  });
});
