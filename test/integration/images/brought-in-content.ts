// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { silentLogger } from "../../../src/base/logger.ts";
import type { ContentStore, Digest } from "../../../src/content/ports.ts";
import { DocumentReader } from "../../../src/images/manifest/document-reader.ts";
import type { RegistryAuth } from "../../../src/images/ports.ts";
import { parseReference } from "../../../src/images/reference.ts";
import { openRegistry } from "../../../src/images/registry/open-registry.ts";
import { RegistrySource } from "../../../src/images/registry/registry-source.ts";
import type { Scratch } from "../../support/scratch.ts";
import type { ScriptedImage } from "../../support/scripted-registry.ts";
import { namespace, noRegistry, openLibrary, quickPatience } from "./library.ts";

export interface BringIn {
  readonly home: Scratch;
  readonly registry: string;
  readonly mirrors?: readonly string[];
  readonly repository?: string;
  readonly progressMs?: number;
  readonly auth?: RegistryAuth;
  /** Default: a fresh one. */
  readonly content?: ContentStore;
  readonly signal?: AbortSignal;
  /** Default: 3. */
  readonly maxConcurrentDownloads?: number;
  /** Called with what brings the layer, before it does. */
  readonly onSource?: (source: RegistrySource) => void;
}

let folders = 0;

/**
 * Brings an image's manifest, config and layer here as a pull does, and looks at the layer's bytes; it is not extracted,
 * which would take most of the time.
 */
export async function broughtIn(image: ScriptedImage, options: BringIn): Promise<void> {
  const { home, registry: host, mirrors = [], progressMs = 20_000, repository = "a/b" } = options;
  const call = { signal: options.signal ?? AbortSignal.timeout(240_000) };
  const configPath = await home.folder(`certs ${(folders += 1)}`);
  await mkdir(path.join(configPath, "_default"));
  const hosts = mirrors.map((mirror) => `[host."http://${mirror}"]\n`).join("");
  await writeFile(path.join(configPath, "_default/hosts.toml"), hosts);
  const content = options.content ?? (await freshContent(home));
  const settings = {
    config: { pullProgressTimeoutMs: progressMs },
    registry: { ...noRegistry, configPath },
    documents: new DocumentReader(),
    patience: quickPatience,
    log: silentLogger,
  };
  const reference = parseReference(`${host}/${repository}:v1`);
  using client = await openRegistry(reference, options.auth, settings);
  const target = await client.resolve(call);
  assert.equal(target.digest, image.manifest.digest);
  const source = new RegistrySource({
    client,
    content,
    namespace,
    progressTimeoutMs: progressMs,
    maxConcurrentDownloads: options.maxConcurrentDownloads ?? 3,
  });
  options.onSource?.(source);
  const manifest = await source.document(target, call);
  const { config: id, layers } = JSON.parse(String(manifest)) as {
    readonly config: Parameters<typeof source.document>[0];
    readonly layers: readonly (typeof id)[];
  };
  assert.equal(digestOf(await source.document({ ...id, annotations: {} }, call)), image.id);
  for (const layer of layers) await source.fetch({ ...layer, annotations: {} }, call);
  assert.equal(digestOf(await content.read(image.layer as Digest, call)), image.layer);
  assert.deepEqual(await content.ingests(namespace), []);
}

export async function freshContent(home: Scratch): Promise<ContentStore> {
  return (await openLibrary(await home.folder(`content ${(folders += 1)}`))).content;
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
