// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { Logger } from "../../base/logger.ts";
import { silentLogger } from "../../base/logger.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { PluginHost } from "./plugin-host.ts";

const folder = mkdtempSync(path.join(tmpdir(), "berth plugins "));
after(() => removeFolderSync(folder));
const call = { signal: new AbortController().signal };
let count = 0;

interface Given {
  timeoutMs?: number;
  settings?: Record<string, unknown>;
  log?: Logger;
  now?: () => number;
}

function hostOf(source: string, given: Given = {}): PluginHost {
  count += 1;
  const file = path.join(folder, `p ${count}.mjs`);
  writeFileSync(file, source);
  const { timeoutMs = 60_000, settings = {}, log = silentLogger, now = Date.now } = given;
  return new PluginHost({ start: { file, name: "p", settings }, timeoutMs, log, now });
}

const broken: readonly { name: string; source: string; says: RegExp }[] = [
  { name: "a syntax error", source: "export const plugin = {", says: /SyntaxError/ },
  { name: "no export", source: "export const plug = 1", says: /no object under the name "plugin"/ },
  {
    name: "another version",
    source: "export const plugin = { apiVersion: 7 }",
    says: /apiVersion is 7, this daemon has 1/,
  },
  {
    name: "a hook that is no function",
    source: "export const plugin = { apiVersion: 1, onSandboxCreate: 5 }",
    says: /onSandboxCreate is no function/,
  },
  {
    name: "an init that throws",
    source: 'export const plugin = { apiVersion: 1, init() { throw new RangeError("no max") } }',
    says: /RangeError: no max/,
  },
  { name: "an exit", source: "process.exit(3)", says: /ended by itself/ },
];
for (const { name, source, says } of broken) {
  test(`PluginHost does not load a plugin with ${name}`, async () => {
    await using host = hostOf(source);
    await assert.rejects(host.load(), says);
  });
}

test("PluginHost gives init the settings, and hooks copies of their requests", async () => {
  await using host = hostOf(
    `let seen;
     export const plugin = {
       apiVersion: 1,
       init(context) { seen = context },
       async onSandboxCreate(request) { request.spec.big += 1n; return { seen, request } },
     }`,
    { settings: { deep: { list: [1] } } },
  );
  await host.load();
  assert.deepEqual([...host.hooks], ["onSandboxCreate"]);
  const request = { spec: { big: 2n ** 63n } };
  assert.deepEqual(await host.call("onSandboxCreate", request, call), {
    seen: { name: "p", settings: { deep: { list: [1] } } },
    request: { spec: { big: 2n ** 63n + 1n } },
  });
  assert.equal(request.spec.big, 2n ** 63n);
});

test("PluginHost tells what a hook threw, and calls it again", async () => {
  await using host = hostOf(
    `let calls = 0;
     export const plugin = { apiVersion: 1, onSandboxCreate() {
       calls += 1;
       if (calls === 1) throw new TypeError("first");
       if (calls === 2) return () => {};
       return calls;
     } }`,
  );
  await host.load();
  await assert.rejects(host.call("onSandboxCreate", {}, call), {
    code: "UNKNOWN",
    message: "TypeError: first",
  });
  await assert.rejects(host.call("onSandboxCreate", {}, call), /could not be cloned/);
  assert.equal(await host.call("onSandboxCreate", {}, call), 3);
});

test("PluginHost ends a call that never returns, starts anew and runs the others again", async () => {
  await using host = hostOf(
    `export const plugin = { apiVersion: 1, onSandboxCreate({ loop }) {
       while (loop) {}
       return "done";
     } }`,
    { timeoutMs: 3000 },
  );
  await host.load();
  const outcomes = await Promise.allSettled([
    host.call("onSandboxCreate", { loop: true }, call),
    host.call("onSandboxCreate", {}, call),
    host.call("onSandboxCreate", {}, call),
  ]);
  assert.deepEqual(
    outcomes.map((one) =>
      one.status === "fulfilled" ? one.value : (one.reason as { code: string }).code,
    ),
    ["DEADLINE_EXCEEDED", "done", "done"],
  );
});

test("PluginHost does not count a wait behind other calls as their own time", async () => {
  await using host = hostOf(
    `export const plugin = { apiVersion: 1, onSandboxCreate() {
       const end = Date.now() + 100;
       while (Date.now() < end) {}
       return "done";
     } }`,
    { timeoutMs: 2000 },
  );
  await host.load();
  const calls = Array.from({ length: 25 }, () => host.call("onSandboxCreate", {}, call));
  assert.deepEqual(new Set(await Promise.all(calls)), new Set(["done"]));
});

test("PluginHost leaves a plugin alone whose threads keep ending, then tries again", async () => {
  let time = 0;
  await using host = hostOf(
    `export const plugin = { apiVersion: 1, onSandboxCreate({ exit }) {
       if (exit) process.exit(1);
       return "done";
     } }`,
    { now: () => time },
  );
  await host.load();
  await assert.rejects(host.call("onSandboxCreate", { exit: true }, call), { code: "ABORTED" });
  await assert.rejects(host.call("onSandboxCreate", {}, call), {
    code: "UNAVAILABLE",
    message: /left alone for another 10 s/,
  });
  time = 10_001;
  assert.equal(await host.call("onSandboxCreate", {}, call), "done");
});

test("PluginHost relays what the plugin prints", async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const log: Logger = { ...silentLogger, info: (fields) => resolve(fields) };
  await using host = hostOf(`console.log("hello"); export const plugin = { apiVersion: 1 };`, {
    log,
  });
  await host.load();
  assert.deepEqual(await promise, { line: "hello" });
});

test("PluginHost ends the wait of a caller that has gone", async () => {
  await using host = hostOf(
    "export const plugin = { apiVersion: 1, onSandboxCreate: () => new Promise(() => {}) }",
  );
  await host.load();
  const caller = new AbortController();
  const answer = host.call("onSandboxCreate", {}, { signal: caller.signal });
  caller.abort(new Error("gone"));
  await assert.rejects(answer, /gone/);
});
