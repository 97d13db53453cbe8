// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { KeptCredential } from "./kept-credential.ts";
import { openNodeClient } from "./node-client.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth-node-client-"));
after(() => removeFolderSync(folder));

const total = 45;
/** A tenant may have 256 KiB of annotations in each. */
const annotations = { a: "x".repeat(200 << 10) };
const asked: string[] = [];

const server = http.createServer((request, response) => {
  const { searchParams } = new URL(request.url ?? "", "http://x");
  let body = "";
  request.on("data", (piece: Buffer) => (body += piece.toString()));
  request.on("end", () => {
    response.setHeader("content-type", "application/json");
    if (request.method === "POST") {
      asked.push(body);
      response.end("{}");
      return;
    }
    const limit = Number(searchParams.get("limit"));
    const from = Number(searchParams.get("continue") ?? 0);
    asked.push(`${from}+${limit}`);
    const names = Array.from({ length: Math.min(limit, total - from) }, (_, at) => `p${from + at}`);
    const end = from + names.length;
    const items = names.map((name) => ({ metadata: { name, namespace: "t", annotations } }));
    const metadata = end < total ? { continue: String(end) } : {};
    response.end(JSON.stringify({ kind: "PodList", apiVersion: "v1", metadata, items }));
  });
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
after(() => server.close());

const kubeconfig = path.join(folder, "kubeconfig");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
writeFileSync(
  kubeconfig,
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
    clusters: [{ name: "k", cluster: { server: url, "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user: {} }],
  }),
);
const call = { signal: new AbortController().signal, kept: new KeptCredential() };

test("a page of large pods is asked for again with half as many", async () => {
  const client = await openNodeClient([kubeconfig], call);
  asked.length = 0;
  const pods = await client.podsOf("n");
  assert.equal(new Set(pods.map(({ metadata }) => metadata?.name)).size, total);
  // Twenty of them are 4,000 KiB and their names: less than 4 MiB.
  assert.deepEqual(asked, ["0+40", "0+20", "20+20", "40+20"]);
});

test("an eviction is of that very pod", async () => {
  const client = await openNodeClient([kubeconfig], call);
  asked.length = 0;
  await client.evict({ namespace: "t", name: "db-0", uid: "u1" });
  const { deleteOptions, metadata } = JSON.parse(asked[0] ?? "{}");
  assert.deepEqual(deleteOptions, { preconditions: { uid: "u1" } });
  assert.deepEqual(metadata, { namespace: "t", name: "db-0" });
});
