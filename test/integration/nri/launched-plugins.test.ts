// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { sleep } from "../../../src/base/timers.ts";
import { createNri } from "../../../src/nri/nri.ts";
import { PluggedNode } from "../../support/nri/plugged-node.ts";
import { scratch } from "../../support/scratch.ts";

const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });
const program = path.resolve(import.meta.dirname, "../../support/nri/launched-plugin.ts");
const script = `#!/bin/sh\necho $$ >"$0.pid"\nexec "${process.execPath}" "${program}"\n`;

describe("plugins that are started with the daemon", () => {
  it("get their name, their configuration and one socket, and end with the daemon; what is no plugin keeps none back", async () => {
    await using folder = await scratch();
    const [plugins, conf] = [path.join(folder.path, "plugins"), path.join(folder.path, "conf.d")];
    const told = path.join(folder.path, "told.json");
    await Promise.all([plugins, conf].map((each) => mkdir(each)));
    const good = path.join(plugins, "07-good");
    await Promise.all([
      writeFile(good, script, { mode: 0o755 }),
      writeFile(path.join(conf, "good.conf"), `${told}\n`),
      writeFile(path.join(plugins, "README"), "no program", { mode: 0o644 }),
      writeFile(path.join(plugins, "misnamed"), "#!/bin/true\n", { mode: 0o755 }),
      writeFile(path.join(plugins, "08-ends"), "#!/bin/false\n", { mode: 0o755 }),
      writeFile(path.join(plugins, "09-no-interpreter"), "#!/nowhere\n", { mode: 0o755 }),
      writeFile(path.join(plugins, "10-wasm"), Buffer.from("\0asm\x01\0\0\0"), { mode: 0o755 }),
      mkdir(path.join(plugins, "11-folder")),
    ]);
    using node = new PluggedNode();
    const settings = {
      ...node.settings,
      registrationTimeoutMs: 20_000,
      disableConnections: true,
      pluginPath: plugins,
      pluginConfigPath: conf,
      runFolder: path.join(folder.path, "run"),
    };
    await using nri = createNri({
      settings,
      node: node.state,
      runtime: { name: "berth", version: "0.1.0" },
      log: silentLogger,
    });
    await nri.start(call());
    assert.partialDeepStrictEqual(nri.list(), [
      { index: "07", name: "good", kind: "launched", state: "serving" },
    ]);
    const end = call();
    while (!existsSync(told)) await sleep(10, end);
    assert.deepEqual(JSON.parse(readFileSync(told, "utf8")), {
      env: { NRI_PLUGIN_NAME: "good", NRI_PLUGIN_IDX: "07", NRI_PLUGIN_SOCKET: "3" },
      sockets: ["3"],
      args: [],
    });
    const pid = readFileSync(`${good}.pid`, "utf8").trim();
    await nri[Symbol.asyncDispose]();
    assert.equal(existsSync(`/proc/${pid}`), false);
  });
});
