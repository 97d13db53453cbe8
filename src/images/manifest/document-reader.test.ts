// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DocumentReader } from "./document-reader.ts";
import type { DocumentKind } from "./parse-document.ts";

const call = () => ({ signal: AbortSignal.timeout(100_000) });
/** With time for a machine that does much else. */
const patientReader = () => new DocumentReader({ limitMs: 100_000 });
const digest = `sha256:${"a".repeat(64)}`;
const descriptor = { digest, size: 1 };
const times = (count: number) => Array.from({ length: count }, () => descriptor);
const mib = 1024 * 1024;

const image = (config: object, more: object = {}): string =>
  JSON.stringify({ config, rootfs: { diff_ids: [digest] }, ...more });
const numbers = (count: number, text: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => text(n)).join(",");
const repeated = (text: string, bytes: number): string => text.repeat(bytes / text.length);

/** Waits for work, and counts how often this thread gets its turn meanwhile. */
async function countingTurns<T>(work: Promise<T>): Promise<{ result: T; turns: number }> {
  for (let turns = 0; ; turns += 1) {
    if ((await Promise.race([work, sleep(5, "turn")])) !== "turn")
      return { result: await work, turns };
  }
}

const refused: readonly { name: string; kind: DocumentKind; text: string; says: RegExp }[] = [
  {
    name: "an index of a hundred thousand manifests",
    kind: "manifest",
    text: JSON.stringify({ manifests: times(60_000) }),
    says: /60000 entries in manifests, more than 5000/,
  },
  {
    name: "a layout's index full of annotations",
    kind: "layout",
    text: JSON.stringify({
      manifests: [{ ...descriptor, annotations: { a: "x".repeat(100_000) } }],
    }),
    says: /bytes of annotations/,
  },
  {
    name: "a manifest of 501 layers",
    kind: "manifest",
    text: JSON.stringify({ config: descriptor, layers: times(501) }),
    says: /501 entries in layers, more than 500/,
  },
  {
    name: "a manifest whose layers are millions of nothings",
    kind: "manifest",
    text: `{"config":{},"layers":[${repeated("{},", 6 * mib)}{}]}`,
    says: /entries in layers/,
  },
  {
    name: "an endless media type",
    kind: "manifest",
    text: JSON.stringify({ config: { ...descriptor, mediaType: "x".repeat(mib) }, layers: [] }),
    says: /config\.mediaType/,
  },
  {
    name: "a config whose digest is a path",
    kind: "manifest",
    text: JSON.stringify({
      config: { ...descriptor, digest: `sha256:../../../${"0".repeat(55)}` },
      layers: [],
    }),
    says: /config\.digest: not a sha256 digest/,
  },
  {
    name: "a layer whose digest is of another kind",
    kind: "manifest",
    text: JSON.stringify({ config: descriptor, layers: [{ ...descriptor, digest: "md5:00" }] }),
    says: /layers.*digest: not a sha256 digest/,
  },
  {
    name: "a config of half a million layers",
    kind: "image",
    text: `{"rootfs":{"diff_ids":[${repeated('"",', 1_500_000)}""]}}`,
    says: /500001 entries in rootfs\.diff_ids, more than 500/,
  },
  {
    name: "an environment of MiBs",
    kind: "image",
    text: image({ Env: ["A=".padEnd(mib, "x")] }),
    says: /bytes of environment, arguments and volumes, more than 262144/,
  },
  {
    name: "an environment of a million variables",
    kind: "image",
    text: image({ Env: Array(1_000_000).fill("") }),
    says: /1000000 entries in config\.Env/,
  },
  {
    name: "a hundred thousand volumes",
    kind: "image",
    text: image({
      Volumes: Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [n, {}])),
    }),
    says: /100000 entries in config\.Volumes, more than 20000/,
  },
  {
    name: "volumes of long names",
    kind: "image",
    text: image({ Volumes: { ["v".repeat(300_000)]: {} } }),
    says: /environment, arguments and volumes/,
  },
  {
    name: "half a million labels that are no texts",
    kind: "image",
    text: `{"config":{"Labels":{${numbers(500_000, (n) => `"${n}":0`)}}},"rootfs":{}}`,
    says: /500000 entries in config\.Labels, more than 20000/,
  },
  {
    name: "half a million annotations that are no texts",
    kind: "manifest",
    text: `{"config":{"annotations":{${numbers(500_000, (n) => `"${n}":0`)}}},"layers":[]}`,
    says: /config\.(digest|annotations\.0): /,
  },
  {
    name: "volumes that are a list",
    kind: "image",
    text: image({ Volumes: [] }),
    says: /config\.Volumes: /,
  },
  {
    name: "an environment that is no list",
    kind: "image",
    text: image({ Env: "A=b" }),
    says: /config\.Env: expected a list/,
  },
  {
    name: "labels that are none",
    kind: "image",
    text: image({ Labels: ["a"] }),
    says: /config\.Labels: expected an object/,
  },
  {
    name: "a stop signal that no label holds",
    kind: "image",
    text: image({ StopSignal: "S".repeat(5000) }),
    says: /StopSignal/,
  },
  {
    name: "a label that is no text, with an endless name",
    kind: "image",
    text: image({ Labels: { ["l".repeat(mib)]: 1 } }),
    says: /^config is no image: config\.Labels\.l{100,200}: /,
  },
  { name: "millions of brackets", kind: "image", text: "[".repeat(8 * mib), says: /not JSON/ },
];

for (const { name, kind, text, says } of refused) {
  test(`DocumentReader refuses ${name}`, { timeout: 120_000 }, async () => {
    const bytes = Buffer.from(text);
    const task = { kind, bytes, what: "config", mediaType: "" };
    await assert.rejects(patientReader().read(task, call()), {
      code: "FAILED_PRECONDITION",
      message: says,
    });
  });
}

const untyped: readonly { name: string; text: string; is: string }[] = [
  { name: "an index", text: `{"pad":[${repeated("{},", 7 * mib)}{}],"manifests":[]}`, is: "index" },
  { name: "a manifest", text: `{"pad":[${repeated("{},", 3 * mib)}{}]}`, is: "manifest" },
  { name: "what is no document", text: "[".repeat(8 * mib), is: "manifest" },
];

for (const { name, text, is } of untyped) {
  test(`DocumentReader tells the type of ${name} of MiBs, while this thread is free`, {
    timeout: 120_000,
  }, async () => {
    const bytes = Buffer.from(text);
    const task = { kind: "type", bytes, what: "manifest", mediaType: "text/plain" } as const;
    const { result, turns } = await countingTurns(patientReader().read(task, call()));
    assert.equal(result, `application/vnd.oci.image.${is}.v1+json`);
    assert.ok(turns > 10, `${turns} turns`);
  });
}

const kept: readonly { name: string; text: string }[] = [
  {
    name: "objects",
    text: image({ User: "1" }, { history: [] }).replace("[]", `[${repeated("{},", 3 * mib)}{}]`),
  },
  {
    name: "nested lists",
    text: image({ User: "1" }, { history: [] }).replace(
      "[]",
      `${"[".repeat(3 * mib)}${"]".repeat(3 * mib)}`,
    ),
  },
];

for (const { name, text } of kept) {
  test(`DocumentReader takes an image's own out of MiBs of ${name}, while this thread is free`, {
    timeout: 120_000,
  }, async () => {
    const reader = patientReader();
    const { result: document, turns } = await countingTurns(
      reader.read(
        { kind: "image", bytes: Buffer.from(text), what: "config", mediaType: "" },
        call(),
      ),
    );
    assert.equal(document.config.user, "1");
    assert.ok(JSON.stringify(document).length < 1000);
    assert.ok(turns > 10, `${turns} turns`);
  });
}

test("DocumentReader keeps the labels that a container can have", async () => {
  const labels = {
    "io.buildpacks.build.metadata": "x".repeat(200_000),
    "io.buildpacks.stack.id": "bionic",
    full: "x".repeat(4092),
    over: "x".repeat(4093),
  };
  const bytes = Buffer.from(image({ Labels: labels, Env: ["A=".padEnd(100_000, "x")] }));
  const document = await patientReader().read(
    { kind: "image", bytes, what: "config", mediaType: "" },
    call(),
  );
  assert.deepEqual(Object.keys(document.config.labels), ["io.buildpacks.stack.id", "full"]);
  assert.equal(document.config.env[0]?.length, 100_000);
});

test("DocumentReader goes on after a document that was given up", async () => {
  const reader = patientReader();
  const task = (text: string) => ({
    kind: "image" as const,
    bytes: Buffer.from(text),
    what: "config",
    mediaType: "",
  });
  const abort = new AbortController();
  const first = reader.read(task(image({}, { x: "y".repeat(7 * mib) })), abort);
  abort.abort();
  await assert.rejects(first);
  const second = await reader.read(task(image({ User: "2" }, { x: "y".repeat(mib) })), call());
  assert.equal(second.config.user, "2");
});

test("DocumentReader gives up documents that take too long, and takes the next one", async () => {
  // No thread starts within a millisecond.
  const hasty = new DocumentReader({ limitMs: 1 });
  const bytes = Buffer.from(image({ User: "1" }, { x: "y".repeat(mib) }));
  const task = { kind: "image" as const, bytes, what: "config", mediaType: "" };
  for (let time = 0; time < 3; time += 1) {
    await assert.rejects(hasty.read(task, call()), {
      code: "DEADLINE_EXCEEDED",
      message: "config takes too long to be read",
    });
  }
  const small = { ...task, bytes: Buffer.from(image({ User: "2" })) };
  assert.equal((await hasty.read(small, call())).config.user, "2");
});
