// SPDX-License-Identifier: Apache-2.0
// What CRI-O calls an insecure registry is pulled from with the hosts.toml that an import makes.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { importConfig } from "../../../src/config/import/import-config.ts";
import { parseHosts } from "../../../src/images/registry/hosts.ts";
import { corporateCa } from "../../support/corporate-ca.ts";
import { findProgram } from "../../support/lacking.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type ScriptedImage, scriptedImage, serveImage } from "../../support/scripted-registry.ts";
import { openLibrary } from "./library.ts";

const lack = findProgram("openssl") ? false : "needs openssl";
const skip = process.getuid?.() === 0 ? lack : "needs root";

let home: Scratch;
let image: ScriptedImage;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "imported hosts" });
  image = await scriptedImage(await home.folder("layout"), "imported hosts");
});

after(async () => home?.[Symbol.asyncDispose]());

/** The text of the hosts.toml that an import makes for it. */
async function imported(registry: string): Promise<string> {
  const folder = await home.folder(`crio ${registry.replaceAll(/\W/g, " ")}`);
  const file = path.join(folder, "crio.conf");
  await writeFile(file, `[crio.image]\ninsecure_registries = ["${registry}"]\n`);
  const { hosts, lost } = importConfig(file);
  assert.deepEqual(lost, []);
  assert.equal(hosts[0]?.registry, registry);
  return hosts[0]?.text ?? "";
}

async function pull(registry: string): Promise<string> {
  const root = await home.folder(`library ${registry.split(":")[1]}`);
  const configPath = path.join(root, "certs.d");
  await mkdir(path.join(configPath, registry), { recursive: true });
  await writeFile(path.join(configPath, registry, "hosts.toml"), await imported(registry));
  const { images } = await openLibrary(path.join(root, "berth"), { registry: { configPath } });
  return (await images.pull(`${registry}/a/b:c`, { signal: AbortSignal.timeout(240_000) })).id;
}

suite("an insecure registry of CRI-O's is pulled from", { skip }, () => {
  test("where it speaks no TLS", async () => {
    await using registry = await serveImage(image);
    assert.equal(await pull(registry.host), image.id);
  });

  test("where it speaks TLS with a certificate that nobody trusts", async () => {
    const { cert, key } = await corporateCa(await home.folder("ca"), "Nobody");
    await using registry = await serveImage(image, () => false, { cert, key });
    assert.equal(await pull(registry.host), image.id);
  });

  test("without a port, on 443 and on 80", async () => {
    const servers = parseHosts(
      await imported("reg.example"),
      "/certs.d/reg.example",
      "reg.example",
    );
    assert.deepEqual(
      servers.map(({ base, tls, isOrigin, canPush }) => [base, tls.skipVerify, isOrigin, canPush]),
      [
        ["https://reg.example/v2", true, true, true],
        ["http://reg.example/v2", false, true, true],
      ],
    );
  });
});
