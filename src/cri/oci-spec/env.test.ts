// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { specOf, testRefusals } from "../../../test/support/spec-input.ts";

const env = (key: string, value: string | Uint8Array) => ({ key, value: Buffer.from(value) });

const rows = [
  {
    name: "defaults",
    changes: {},
    out: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=web"],
  },
  {
    name: "a terminal adds TERM",
    changes: { config: { tty: true }, imageConfig: { env: ["PATH=/bin"] } },
    out: ["PATH=/bin", "TERM=xterm", "HOSTNAME=web"],
  },
  {
    name: "the request wins over the image, in place",
    changes: {
      imageConfig: { env: ["A=1", "B=2"] },
      config: { envs: [env("A", "3"), env("C", "4"), env("HOSTNAME", "own")] },
    },
    out: [
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HOSTNAME=own",
      "A=3",
      "B=2",
      "C=4",
    ],
  },
  {
    name: "values with = and an empty one, a name alone",
    changes: {
      imageConfig: { env: ["PATH=/b", "A=b=c", "N", "=x"] },
      config: { envs: [env("E", "")] },
    },
    out: ["PATH=/b", "HOSTNAME=web", "A=b=c", "N=", "E="],
  },
  {
    name: "the node's name when the pod has none",
    changes: { pod: { hostname: "" }, imageConfig: { env: ["PATH=/b"] } },
    out: ["PATH=/b", "HOSTNAME=node-1"],
  },
  {
    name: "the node's name in its own network, whatever the pod asks for",
    changes: {
      pod: {
        hostname: "web",
        linux: { securityContext: { namespaceOptions: { network: "NODE" as const } } },
      },
      imageConfig: { env: ["PATH=/b"] },
    },
    out: ["PATH=/b", "HOSTNAME=node-1"],
  },
  {
    name: "bytes that are no UTF-8",
    changes: {
      imageConfig: { env: ["PATH=/b"] },
      config: { envs: [env("A", new Uint8Array([0x61, 0xff]))] },
    },
    out: ["PATH=/b", "HOSTNAME=web", "A=a\uFFFD"],
  },
];

for (const { name, changes, out } of rows) {
  test(`environment: ${name}`, async () => {
    assert.deepEqual((await specOf(changes)).process.env, out);
  });
}

testRefusals([
  {
    name: "a variable without a name",
    changes: { config: { envs: [env("A", "1"), env("", "x")] } },
    code: "INVALID_ARGUMENT",
    message: /^envs\[1\]\.key/,
  },
  {
    name: "a NUL in a value",
    changes: { config: { envs: [env("A", "a\0b")] } },
    code: "INVALID_ARGUMENT",
    message: /^envs\[0\]\.value/,
  },
]);

test("what one container adds to its environment does not reach another of the same image", async () => {
  const imageConfig = { env: ["A=1"] };
  const secret = await specOf({
    imageConfig,
    config: { envs: [env("SECRET", "s"), env("A", "2")] },
  });
  const next = await specOf({ imageConfig });
  assert.ok(secret.process.env.includes("SECRET=s"));
  assert.ok(next.process.env.includes("A=1"));
  assert.ok(!next.process.env.some((entry) => entry.startsWith("SECRET=")));
});
