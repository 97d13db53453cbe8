// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { proxyUrl } from "./proxy-url.ts";

const taken = [
  "",
  "none",
  "http://proxy.test:3128",
  "https://proxy.test",
  "proxy.test:3128",
  "10.0.0.1",
  "http://[fd00::1]:3128/",
  "http://user:pass@proxy.test",
  "socks5://proxy.test:1080",
  "socks5h://user:pass@[fd00::1]",
];

for (const text of taken) {
  test(`proxy = "${text}" is taken`, () => assert.equal(proxyUrl.schema.parse(text), text));
}

test("neither an error nor what is written shows a proxy's password", () => {
  for (const bad of [
    "socks4://u:s3cret@p",
    "socks5://u:s3cret@",
    "http://u:s3cret@p:99999",
    "http://u:s3cret@p/x",
    "http://u:s3cret%@p",
  ]) {
    const { error } = proxyUrl.schema.safeParse(bad);
    assert.match(error?.message ?? "", /expected \\"http:\/\/HOST:PORT/);
    assert.doesNotMatch(error?.message ?? "", /s3cret/);
  }
  assert.equal(proxyUrl.write("https://me:s3cret@p.test:3128"), "https://me:xxxxx@p.test:3128/");
  assert.equal(proxyUrl.write("socks5://me:s3cret@p.test"), "socks5://me:xxxxx@p.test");
  assert.equal(proxyUrl.write("me:s3cret@p.test"), "http://me:xxxxx@p.test/");
  assert.equal(proxyUrl.write("http://s3cret@p.test:1"), "http://xxxxx@p.test:1/");
  assert.equal(proxyUrl.write("http://p.test"), "http://p.test");
});
