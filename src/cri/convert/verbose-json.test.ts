// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { it } from "node:test";
import { codec } from "../../rpc/codec.ts";
import { protoJson } from "./verbose-json.ts";

it("protoJson writes proto names, text for bytes, and leaves the keys of maps alone", () => {
  const config = codec("runtime.v1.ContainerConfig").normalize({
    metadata: { name: "a", attempt: 1 },
    logPath: "a/0.log",
    envs: [{ key: "K", value: Buffer.from("v") }],
    labels: { camelCase: "stays", "io.kubernetes.pod.name": "web" },
    linux: { resources: { memoryLimitInBytes: 5n, cpuQuota: 2n ** 60n } },
  });
  const json = protoJson(config) as Record<string, unknown>;
  assert.equal(json["log_path"], "a/0.log");
  assert.deepEqual(json["envs"], [{ key: "K", value: "v" }]);
  assert.deepEqual(json["labels"], { camelCase: "stays", "io.kubernetes.pod.name": "web" });
  const { resources } = json["linux"] as { resources: Record<string, unknown> };
  assert.equal(resources["memory_limit_in_bytes"], 5);
  assert.equal(resources["cpu_quota"], (2n ** 60n).toString());
});
