// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { openAsk } from "./ask.ts";

test("a kubeconfig that cannot be read is told as that: the API server was not asked", async () => {
  const ask = openAsk({ kubeconfig: ["/no/such/file"], awayMs: 60_000, say: () => {} });
  await assert.rejects(
    ask("the node", (api) => api.node("n"), { signal: new AbortController().signal }),
    /^RuntimeFault: the kubeconfig cannot be used: \/no\/such\/file: ENOENT/,
  );
});
