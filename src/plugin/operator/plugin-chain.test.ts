// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import { silentLogger } from "../../base/logger.ts";
import type { OciSpec } from "../../oci/spec.ts";
import { type ChainAnswer, type ChainMember, PluginChain } from "./plugin-chain.ts";
import type { PluginHost } from "./plugin-host.ts";

const call = { signal: new AbortController().signal };
const spec: OciSpec = {
  ociVersion: "1.1.0",
  process: { user: { uid: 0, gid: 0 }, args: ["sh"], env: ["A=1"], cwd: "/" },
  root: { path: "rootfs" },
  mounts: [],
  annotations: {},
  linux: { namespaces: [{ type: "pid" }], resources: {} },
};

type Hook = (request: { spec: OciSpec }) => unknown;

function member(name: string, hook: Hook | Error, onFailure: "refuse" | "ignore"): ChainMember {
  if (hook instanceof Error) return { name, onFailure, state: { loadError: hook } };
  const host = {
    hooks: new Set(["onContainerCreate"]),
    call: async (_hook: string, request: { spec: OciSpec }) => hook(structuredClone(request)),
  };
  return { name, onFailure, state: { host: host as unknown as PluginHost } };
}

function chainOf(...members: readonly ChainMember[]): { chain: PluginChain; calls: string[] } {
  const calls: string[] = [];
  const onCall = (...parts: readonly string[]): void => void calls.push(parts.join(" "));
  return { chain: new PluginChain({ members, log: silentLogger, onCall }), calls };
}

function create(chain: PluginChain): Promise<ChainAnswer> {
  const request = { id: "c", sandbox: { id: "s", config: {} }, config: {}, spec };
  return chain.container(request as never, call);
}

const addEnv =
  (text: string): Hook =>
  (request) => {
    request.spec.process.env.push(text);
    return { spec: request.spec };
  };

test("PluginChain hands each plugin the spec as the one before left it", async () => {
  const { chain, calls } = chainOf(
    member("a", addEnv("B=2"), "refuse"),
    member("b", () => undefined, "refuse"),
    member("c", ({ spec }) => addEnv(`C=${spec.process.env.length}`)({ spec }), "refuse"),
  );
  const answer = await create(chain);
  assert.deepEqual(answer.spec.process.env, ["A=1", "B=2", "C=2"]);
  assert.deepEqual(answer.changes, [
    { by: "a", fields: ["process.env"] },
    { by: "c", fields: ["process.env"] },
  ]);
  assert.deepEqual(spec.process.env, ["A=1"]);
  assert.deepEqual(calls, [
    "a onContainerCreate changed",
    "b onContainerCreate ok",
    "c onContainerCreate changed",
  ]);
});

test("PluginChain asks nobody who has not the hook", async () => {
  const { chain, calls } = chainOf(member("a", addEnv("B=2"), "refuse"));
  const answer = await chain.sandbox({ id: "s", config: {}, spec } as never, call);
  assert.equal(answer.spec, spec);
  assert.deepEqual(answer.changes, []);
  assert.deepEqual(calls, []);
});

test("PluginChain ends with a veto, whatever the policy", async () => {
  const { chain, calls } = chainOf(
    member("a", () => ({ veto: "no memory limit" }), "ignore"),
    member("b", addEnv("B=2"), "refuse"),
  );
  await assert.rejects(create(chain), {
    code: "FAILED_PRECONDITION",
    message: 'plugin "a" vetoes container "c": no memory limit',
  });
  assert.deepEqual(calls, ["a onContainerCreate veto"]);
});

const failures: readonly { name: string; hook: Hook | Error; says: RegExp; result: string }[] = [
  {
    name: "throws",
    hook: () => {
      throw fault("UNKNOWN", "TypeError: x is undefined");
    },
    says: /plugin "bad" failed at onContainerCreate of container "c": TypeError: x is undefined/,
    result: "error",
  },
  {
    name: "is late",
    hook: () => {
      throw fault("DEADLINE_EXCEEDED", "took longer than 5 ms");
    },
    says: /plugin "bad" failed .* took longer than 5 ms/,
    result: "timeout",
  },
  { name: "answers nonsense", hook: () => 5, says: /neither nothing, nor/, result: "error" },
  { name: "vetoes without a reason", hook: () => ({ veto: "" }), says: /neither/, result: "error" },
  {
    name: "answers no spec",
    hook: () => ({ spec: {} }),
    says: /its spec is wrong: ociVersion must be a version/,
    result: "error",
  },
  {
    name: "takes the arguments away",
    hook: ({ spec }) => ({ spec: { ...spec, process: { ...spec.process, args: [] } } }),
    says: /process\.args must be a list of strings that is not empty/,
    result: "error",
  },
  {
    name: "adds a mount without a destination",
    hook: ({ spec }) => ({ spec: { ...spec, mounts: [{ source: "/x" }] } }),
    says: /mounts must be a list of mounts with absolute destinations/,
    result: "error",
  },
  {
    name: "was not loaded",
    hook: new Error("SyntaxError: here"),
    says: /could not be loaded: SyntaxError: here/,
    result: "error",
  },
];
for (const { name, hook, says, result } of failures) {
  test(`PluginChain refuses, or goes on, when a plugin ${name}`, async () => {
    const strict = chainOf(member("bad", hook, "refuse"), member("c", addEnv("C=3"), "refuse"));
    await assert.rejects(create(strict.chain), { code: "FAILED_PRECONDITION", message: says });
    assert.deepEqual(strict.calls, [`bad onContainerCreate ${result}`]);
    const lax = chainOf(member("bad", hook, "ignore"), member("c", addEnv("C=3"), "refuse"));
    assert.deepEqual((await create(lax.chain)).spec.process.env, ["A=1", "C=3"]);
    assert.equal(lax.calls[0], `bad onContainerCreate ${result}`);
  });
}

test("PluginChain says nothing of a plugin when the request has gone", async () => {
  const gone = new AbortController();
  const { chain, calls } = chainOf(
    member(
      "a",
      () => {
        gone.abort(new Error("gone"));
        throw fault("UNKNOWN", "late");
      },
      "ignore",
    ),
  );
  const request = { id: "c", sandbox: { id: "s", config: {} }, config: {}, spec };
  await assert.rejects(chain.container(request as never, gone), /gone/);
  assert.deepEqual(calls, []);
});
