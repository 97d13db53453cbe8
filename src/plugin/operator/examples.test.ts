// SPDX-License-Identifier: Apache-2.0
// The plugins that are shipped as examples, run as the daemon runs them.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { silentLogger } from "../../base/logger.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { PluginHost } from "./plugin-host.ts";

const examples = path.resolve(import.meta.dirname, "../../../deploy/plugins");
const call = { signal: new AbortController().signal };
const home = mkdtempSync(path.join(tmpdir(), "berth examples "));
mkdirSync(path.join(home, "models"));
symlinkSync("/etc", path.join(home, "escape"));
after(() => removeFolderSync(home));

async function ask(
  name: string,
  settings: Record<string, unknown>,
  request: { namespace?: string; annotations?: Record<string, string>; limit?: bigint },
): Promise<unknown> {
  const file = path.join(examples, `${name}.js`);
  await using host = new PluginHost({
    start: { file, name, settings },
    timeoutMs: 60_000,
    log: silentLogger,
  });
  await host.load();
  const { namespace = "prod", annotations = {}, limit } = request;
  const resources = limit === undefined ? null : { memoryLimitInBytes: limit };
  return await host.call(
    "onContainerCreate",
    {
      sandbox: { id: "s", config: { metadata: { namespace }, annotations } },
      config: { linux: { resources } },
      spec: { process: { env: ["A=1"] }, mounts: [] },
    },
    call,
  );
}

const limits: readonly {
  name: string;
  settings: Record<string, unknown>;
  request: Parameters<typeof ask>[2];
  veto: RegExp | undefined;
}[] = [
  { name: "no limit", settings: {}, request: {}, veto: /namespace prod wants a memory limit/ },
  { name: "a limit of 0", settings: {}, request: { limit: 0n }, veto: /wants a memory limit/ },
  { name: "a limit", settings: {}, request: { limit: 1n }, veto: undefined },
  {
    name: "another namespace",
    settings: { namespaces: ["stage"] },
    request: {},
    veto: undefined,
  },
  {
    name: "too high a limit",
    settings: { max_bytes: 10 },
    request: { limit: 11n },
    veto: /11 bytes is above 10/,
  },
];
for (const { name, settings, request, veto } of limits) {
  test(`require-limits takes or refuses a container with ${name}`, async () => {
    const answer = (await ask("require-limits", settings, request)) as { veto: string } | undefined;
    if (veto === undefined) assert.equal(answer, undefined);
    else assert.match(answer?.veto ?? "", veto);
  });
}

test("inject-env adds what annotations ask for, and keeps what is there", async () => {
  const annotations = {
    "inject.berth/env.A": "2",
    "inject.berth/env.B": "x=y",
    "inject.berth/mount.m": `${home}/models:/models`,
    "inject.berth/mount.w": `${home}/models:/writable:rw`,
    other: "z",
  };
  const source = path.join(home, "models");
  assert.deepEqual(await ask("inject-env", { mount_roots: [home] }, { annotations }), {
    spec: {
      process: { env: ["A=1", "B=x=y"] },
      mounts: [
        { destination: "/models", source, type: "bind", options: ["rbind", "ro"] },
        { destination: "/writable", source, type: "bind", options: ["rbind", "rw"] },
      ],
    },
  });
  assert.equal(await ask("inject-env", {}, { annotations: { other: "z" } }), undefined);
});

const badMounts: readonly { mount: string; says: RegExp }[] = [
  { mount: "/etc:/x", says: /not below a folder that the operator allows/ },
  { mount: `${home}/escape/passwd:/x`, says: /not below a folder/ },
  { mount: `${home}/none:/x`, says: /does not exist/ },
  { mount: `${home}/models:x`, says: /is not HOST:CONTAINER/ },
  { mount: `${home}/models:/x:suid`, says: /is not HOST:CONTAINER/ },
];
for (const { mount, says } of badMounts) {
  test(`inject-env refuses the mount ${mount.replace(home, "ROOT")}`, async () => {
    const annotations = { "inject.berth/mount.m": mount };
    const answer = await ask("inject-env", { mount_roots: [home] }, { annotations });
    assert.match((answer as { veto: string }).veto, says);
  });
}
