// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ProxyConfig, type ProxyEnvironment, readProxies } from "./proxies.ts";

const unset: ProxyConfig = { proxy: "", noProxy: [] };
const both = { HTTP_PROXY: "http://plain:1", HTTPS_PROXY: "http://secure:2" };

/** What http://r.test and https://r.test are asked through. */
const cases: readonly {
  readonly name: string;
  readonly config?: Partial<ProxyConfig>;
  readonly env?: ProxyEnvironment;
  readonly http?: string;
  readonly https?: string;
}[] = [
  { name: "nothing" },
  { name: "the environment", env: both, http: "plain:1", https: "secure:2" },
  { name: "one of two", env: { HTTPS_PROXY: "secure:2" }, https: "secure:2" },
  {
    name: "lower case",
    env: { http_proxy: "plain", https_proxy: "https://secure" },
    http: "plain:80",
    https: "secure:443",
  },
  {
    name: "both cases",
    env: { ...both, https_proxy: "other:3" },
    http: "plain:1",
    https: "secure:2",
  },
  { name: "an exception", env: { ...both, NO_PROXY: "test" } },
  { name: "an exception in lower case", env: { ...both, no_proxy: "r.test:443" }, http: "plain:1" },
  {
    name: "the configuration",
    config: { proxy: "http://c:3" },
    env: both,
    http: "c:3",
    https: "c:3",
  },
  {
    name: "exceptions of the environment for the configuration's proxy",
    config: { proxy: "c:3" },
    env: { NO_PROXY: "r.test" },
  },
  {
    name: "exceptions of the configuration in place of the environment's",
    config: { noProxy: ["other.test"] },
    env: { ...both, NO_PROXY: "r.test" },
    http: "plain:1",
    https: "secure:2",
  },
  {
    name: "SOCKS",
    env: { HTTP_PROXY: "socks5://s.test", HTTPS_PROXY: "socks5h://u:p@s.test:9" },
    http: "s.test:1080",
    https: "s.test:9",
  },
  { name: "none by the configuration", config: { proxy: "none" }, env: both },
  {
    name: "IPv6",
    config: { proxy: "http://u:p@[fd00::1]:8080" },
    http: "[fd00::1]:8080",
    https: "[fd00::1]:8080",
  },
];

for (const { name, config, env = {}, http, https } of cases) {
  test(`proxies by ${name}`, () => {
    const proxies = readProxies({ ...unset, ...config }, env);
    assert.deepEqual(
      ["http://r.test/v2", "https://r.test/v2"].map((url) => proxies(new URL(url))?.name),
      [http, https],
    );
  });
}

test("a proxy's credentials are decoded, and stand in its header alone", () => {
  const proxy = readProxies(
    { ...unset, proxy: "https://us%40er:p%3Aw%2F@p" },
    {},
  )(new URL("https://r.test"));
  const authorization = `Basic ${Buffer.from("us@er:p:w/").toString("base64")}`;
  const address = { name: "p:443", host: "p", port: 443, isTls: true, isSocks: false };
  assert.deepEqual(proxy, { ...address, login: undefined, authorization });
});

for (const bad of [
  "socks4://u:s3cret@p:1",
  "http://",
  "http://u:s3cret@p:99999",
  "http://u:s3cret%zz@p",
  "http://u:s3cret@p/x",
]) {
  test(`${bad} is refused without being quoted`, () => {
    const proxies = readProxies(unset, { HTTPS_PROXY: bad });
    assert.throws(() => proxies(new URL("https://r.test")), {
      code: "FAILED_PRECONDITION",
      message:
        "HTTPS_PROXY of the daemon's environment is not the address of an HTTP or SOCKS5 proxy",
    });
  });
}
