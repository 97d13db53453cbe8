// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { after, before, test } from "node:test";
import { type ScriptedSocksOptions, startSocks } from "../../../test/support/scripted-socks.ts";
import { type Proxy, readProxies } from "./proxies.ts";
import { SocksAgent } from "./proxy-agents.ts";

const server = http.createServer((request, response) =>
  response.end(`${request.url} of ${request.headers.host}`),
);
let at = "";
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  at = `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
});
after(() => new Promise((resolve) => server.close(resolve)));

/** GET through such a proxy. */
async function get(url: string, proxyUrl: string, connectMs = 5_000): Promise<string> {
  const proxy = readProxies({ proxy: proxyUrl, noProxy: [] }, {})(new URL(url)) as Proxy;
  const agent = new SocksAgent({ proxy, context: undefined, connectMs });
  try {
    return await new Promise((resolve, reject) => {
      http
        .get(url, { agent }, (response) => {
          let text = "";
          response.on("data", (bytes) => (text += String(bytes)));
          response.on("end", () => resolve(text));
        })
        .on("error", reject);
    });
  } finally {
    agent.destroy();
  }
}

const routes = () =>
  new Map(["registry.test", "0a000001", "fd000000000000000000000000010002"].map((to) => [to, at]));

for (const [what, url, asked] of [
  ["a name, which it looks up", "http://registry.test/x", "3 registry.test:80"],
  ["an IPv4 address", "http://10.0.0.1:81/x", "1 0a000001:81"],
  ["an IPv6 address", "http://[fd00::1:2]/x", "4 fd000000000000000000000000010002:80"],
] as const) {
  test(`a SOCKS proxy is given ${what}`, async () => {
    await using proxy = await startSocks({ routes: routes() });
    assert.equal(await get(url, `socks5://${proxy.host}`), `/x of ${new URL(url).host}`);
    assert.deepEqual(proxy.asked, [asked]);
  });
}

test("a SOCKS proxy gets its login when it wants one, as UTF-8, and is done without", async () => {
  await using strict = await startSocks({ routes: routes(), wants: "us er:pässword" });
  const words = `us%20er:p%C3%A4ssword@`;
  assert.match(await get("http://registry.test/", `socks5h://${words}${strict.host}`), /^\/ of/);
  await using open = await startSocks({ routes: routes() });
  assert.match(await get("http://registry.test/", `socks5h://${words}${open.host}`), /^\/ of/);
});

const failures: readonly (readonly [
  what: string,
  options: Partial<ScriptedSocksOptions>,
  login: string,
  message: string,
])[] = [
  ["wants a login", { wants: "a:b" }, "", "it wants a login, or another one"],
  ["wants another login", { wants: "a:b" }, "a:c@", "it wants another login"],
  ["cannot reach it", { routes: new Map() }, "", "it cannot reach that: host unreachable"],
  ["forbids it", { says: Buffer.from([5, 0, 5, 2, 0, 1]) }, "", "it does not let us through"],
  [
    "has a reply that no RFC has",
    { says: Buffer.from([5, 0, 5, 99, 0, 1]) },
    "",
    "it refuses (reply 99)",
  ],
  [
    "is an HTTP proxy",
    { says: Buffer.from("HTTP/1.1 400 Bad\r\n\r\n") },
    "",
    "it does not speak SOCKS 5",
  ],
  ["speaks SOCKS 4", { says: Buffer.from([0, 91]) }, "", "it does not speak SOCKS 5"],
  ["ends", { says: Buffer.from([5]) }, "", "it closed the connection"],
];
for (const [what, options, login, message] of failures) {
  test(`a SOCKS proxy that ${what} is told as such`, async () => {
    await using proxy = await startSocks({ routes: routes(), ...options });
    await assert.rejects(get("http://registry.test/", `socks5://${login}${proxy.host}`), {
      code: "UNAVAILABLE",
      message,
    });
  });
}

test("a SOCKS proxy that says nothing ends in time", async () => {
  const silent = net.createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as net.AddressInfo;
  try {
    await assert.rejects(get("http://registry.test/", `socks5://127.0.0.1:${port}`, 50), {
      message: "connect timed out",
    });
  } finally {
    silent.close();
  }
});
