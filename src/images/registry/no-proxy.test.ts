// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { readNoProxy } from "./no-proxy.ts";

// As golang.org/x/net/http/httpproxy decides them.
const cases: readonly {
  readonly given: string;
  readonly direct?: readonly string[];
  readonly proxied?: readonly string[];
}[] = [
  {
    given: "",
    direct: [
      "http://localhost",
      "https://LOCALHOST:5000",
      "http://127.0.0.1",
      "http://127.9.9.9:5000",
      "http://[::1]:5000",
    ],
    proxied: ["https://a.test", "https://10.0.0.1", "https://localhost.test", "https://[::2]"],
  },
  { given: "*", direct: ["https://a.test", "https://10.0.0.1", "http://[fd00::1]"] },
  { given: "b.test,*", direct: ["https://a.test"] },
  {
    given: "example.com",
    direct: ["https://example.com", "https://EXAMPLE.com:5000", "https://a.b.example.com"],
    proxied: ["https://badexample.com", "https://example.com.test", "https://com"],
  },
  {
    given: ".example.com",
    direct: ["https://a.example.com"],
    proxied: ["https://example.com", "https://aexample.com"],
  },
  {
    given: " *.Example.com , b.test ",
    direct: ["https://a.example.com", "https://b.test"],
    proxied: ["https://example.com"],
  },
  {
    given: "a.test:5000,.b.test:443",
    direct: ["https://a.test:5000", "https://x.b.test"],
    proxied: ["https://a.test", "https://a.test:50000", "http://x.b.test"],
  },
  {
    given: "a.test:,[fd10::1]:",
    direct: ["https://a.test:5000", "https://x.a.test", "https://[fd10::1]"],
    proxied: ["https://b.test"],
  },
  {
    given: "10.0.0.0/8,fd00::/8,192.168.1.7,[fd10::1]:5000,172.16.0.1:80",
    direct: [
      "https://10.255.0.1:5000",
      "https://[fd00::5]",
      "https://192.168.1.7:8443",
      "https://[fd10::1]:5000",
      "http://172.16.0.1",
    ],
    proxied: [
      "https://11.0.0.1",
      "https://[fe00::5]",
      "https://192.168.1.70",
      "https://172.16.0.1",
      "https://10.test",
    ],
  },
  { given: "fd01::1", direct: ["https://[fd01::1]:5000"], proxied: ["https://[fd01::2]"] },
  {
    given: "10.0.0.0/33,10.0.0.0/,/8,:5000,.,1.2.3.4/8/9",
    proxied: ["https://10.0.0.1", "https://a.test:5000", "https://1.2.3.4"],
  },
  { given: "bücher.test", direct: ["https://bücher.test", "https://xn--bcher-kva.test"] },
];

for (const { given, direct = [], proxied = [] } of cases) {
  test(`NO_PROXY="${given}" is read as Go reads it`, () => {
    const isDirect = readNoProxy([given]);
    for (const url of direct) assert.equal(isDirect(new URL(url)), true, url);
    for (const url of proxied) assert.equal(isDirect(new URL(url)), false, url);
  });
}
