// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalName, parseReference } from "./reference.ts";

const digest = `sha256:${"a1".repeat(32)}`;

const accepted: readonly (readonly [string, string])[] = [
  ["busybox", "docker.io/library/busybox:latest"],
  ["busybox:1.36", "docker.io/library/busybox:1.36"],
  ["docker.io/busybox", "docker.io/library/busybox:latest"],
  ["index.docker.io/busybox", "docker.io/library/busybox:latest"],
  ["user/app", "docker.io/user/app:latest"],
  ["localhost/app", "localhost/app:latest"],
  ["localhost:5000/app", "localhost:5000/app:latest"],
  ["localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1"],
  ["127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"],
  ["[::1]:5000/app", "[::1]:5000/app:latest"],
  ["Registry/app", "Registry/app:latest"],
  ["registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"],
  ["quay.io/a-b/c__d.e_f:T.a-g_1", "quay.io/a-b/c__d.e_f:T.a-g_1"],
  [`busybox@${digest}`, `docker.io/library/busybox@${digest}`],
  [`quay.io/app:v1@${digest}`, `quay.io/app@${digest}`],
  ["a1".repeat(16), `docker.io/library/${"a1".repeat(16)}:latest`],
];

for (const [text, name] of accepted) {
  test(`parseReference reads "${text}"`, () => {
    assert.equal(canonicalName(parseReference(text)), name);
  });
}

const refused: readonly string[] = [
  "",
  "a1".repeat(32),
  "Busybox",
  "user/App",
  "busybox:",
  "busybox:-x",
  `busybox:${"t".repeat(129)}`,
  "busybox@sha256:short",
  `busybox@md5:${"a1".repeat(16)}`,
  "a//b",
  "/app",
  "app/",
  "../app",
  "host:port/app",
  "host:5000:6000/app",
  "-host.io/app",
  "a___b",
  "a..b",
  "a b",
  "app\n",
  "docker.io/",
  `${"x/".repeat(128)}y`,
];

for (const text of refused) {
  test(`parseReference refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.throws(() => parseReference(text), { code: "INVALID_ARGUMENT" });
  });
}

test("a canonical name reads back as itself", () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,4})?$/);
  const host = fc.oneof(
    fc.constant("localhost"),
    fc.stringMatching(/^[a-z0-9]{1,8}\.[a-z]{2,3}(:[1-9]\d{0,3})?$/),
  );
  const suffix = fc.oneof(
    fc.constant(""),
    fc.stringMatching(/^:\w[\w.-]{0,20}$/),
    fc.constant(`@${digest}`),
  );
  fc.assert(
    fc.property(
      fc.option(host),
      fc.array(part, { minLength: 1, maxLength: 4 }),
      suffix,
      (...of) => {
        const [domain, path, end] = of;
        const text = `${domain === null ? "" : `${domain}/`}${path.join("/")}${end}`;
        let name: string;
        try {
          name = canonicalName(parseReference(text));
        } catch {
          return; // a first part that looks like a host of its own
        }
        assert.equal(canonicalName(parseReference(name)), name);
      },
    ),
  );
});

test("parseReference answers or refuses whatever it is given", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
      try {
        parseReference(text);
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, "INVALID_ARGUMENT");
      }
    }),
  );
});
