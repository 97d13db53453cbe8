// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { createContentStore } from "../../../src/content/content-store.ts";
import { digestOf } from "../../../src/content/digest.ts";
import { checkPulledProfile } from "../../../src/cri/oci-spec/seccomp/check-pulled-profile.ts";
import { ProfileReader } from "../../../src/cri/oci-spec/seccomp/profile-reader.ts";
import { Collector } from "../../../src/garbage/collector.ts";
import { imagesTable } from "../../../src/images/image-records.ts";
import { StoredProfiles } from "../../../src/images/profiles/security-profiles.ts";
import { Leases } from "../../../src/metadata/leases.ts";
import { openMemoryMetadata } from "../../../src/metadata/mirrored-store.ts";
import type { MetadataStore } from "../../../src/metadata/ports.ts";
import { lacking } from "../../support/lacking.ts";
import { pushArtifact } from "../../support/push-raw-image.ts";
import { type Registry, startRegistry } from "../../support/registry.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { namespace } from "./library.ts";

const call = () => ({ signal: AbortSignal.timeout(240_000) });
const log = silentLogger;
const reader = new ProfileReader();
const noForm =
  '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["clone"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":3,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}]}';
const text = Buffer.from('{"defaultAction":"SCMP_ACT_LOG"}');

/** The real stores, with metadata that can be handed on to play a restart. */
async function open(root: string, metadata: MetadataStore = openMemoryMetadata(log)) {
  const content = await createContentStore({ root, metadata, log });
  const garbage = new Collector({
    metadata,
    content,
    images: imagesTable(metadata),
    snapshotters: new Map(),
    leases: new Leases(metadata),
    log,
  });
  const profiles = new StoredProfiles({
    namespace,
    content,
    garbage,
    metadata,
    config: { pullProgressTimeoutMs: 10_000 },
    registry: { configPath: "", proxy: "", noProxy: [] },
    check: (text, call) => checkPulledProfile(text, reader, call),
    log,
  });
  return { content, garbage, profiles, metadata };
}

suite("pulled security profiles", { skip: lacking("docker-registry") }, () => {
  let home: Scratch;
  let registry: Registry;
  before(async () => {
    home = await scratch({ prefix: "profiles" });
    registry = await startRegistry(path.join(home.path, "registry"));
  });
  after(async () => {
    await registry?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  test("are fetched once, outlive collections and restarts, and go when they are removed", async () => {
    const root = await home.folder("life");
    const { content, garbage, profiles, metadata } = await open(root);
    const name = await pushArtifact(registry.host, "profiles/log", [text]);
    assert.deepEqual(await profiles.pull(name, call()), { cached: false });
    const asked = await registry.log();
    assert.deepEqual(await profiles.pull(name, call()), { cached: true });
    const other = name.replace("/log@", "/another-name@");
    assert.deepEqual(await profiles.pull(other, call()), { cached: true });
    assert.equal(await registry.log(), asked);
    const digest = name.split("@")[1] ?? "";
    const expected = [
      { digest, blob: digestOf(text), sizeBytes: text.length, refs: [name, other] },
    ];
    assert.deepEqual(profiles.list(), expected);
    assert.equal(await garbage.collect(namespace, call()), true);
    const again = await open(root, metadata);
    assert.deepEqual(again.profiles.list(), expected);
    for (const ref of [name, other]) {
      assert.equal((await again.profiles.read(ref, call())).toString(), text.toString());
    }
    await profiles.remove(digest);
    await profiles.remove(digest);
    await garbage.collect(namespace, call());
    assert.deepEqual([profiles.list(), content.list(namespace)], [[], []]);
    await assert.rejects(profiles.read(name, call()), { code: "NOT_FOUND" });
    assert.deepEqual(await profiles.pull(name, call()), { cached: false });
  });

  test("whose text was lost are fetched anew", async () => {
    const { content, profiles } = await open(await home.folder("lost"));
    const name = await pushArtifact(registry.host, "profiles/log", [text]);
    await profiles.pull(name, call());
    await content.delete(namespace, digestOf(text));
    await assert.rejects(profiles.read(name, call()), { code: "NOT_FOUND" });
    assert.deepEqual(await profiles.pull(name, call()), { cached: false });
    assert.equal((await profiles.read(name, call())).toString(), text.toString());
  });

  test("pulled side by side are one", async () => {
    const { profiles } = await open(await home.folder("beside"));
    const name = await pushArtifact(registry.host, "profiles/log", [text]);
    await Promise.all(Array.from({ length: 5 }, () => profiles.pull(name, call())));
    assert.deepEqual(
      profiles.list().map(({ refs }) => refs),
      [[name]],
    );
  });

  const image = "application/vnd.oci.image.config.v1+json";
  const bad: readonly [name: string, files: Buffer[], says: RegExp, config?: string][] = [
    ["an image", [text], /is an image/, image],
    ["without a file", [], /has 0 files/],
    ["of two files", [text, Buffer.from("{}")], /has 2 files/],
    ["of a file that is too long", [Buffer.alloc(128 * 1024 + 1, 32)], /has 131073 bytes/],
    ["of no JSON", [Buffer.from("profile")], /holds no seccomp profile/],
    ["of another JSON", [Buffer.from('{"a":1}')], /defaultAction/],
    [
      "without a common form with the default profile",
      [Buffer.from(noForm)],
      /conditions on "clone" cannot be combined/,
    ],
    [
      "that names a socket",
      [Buffer.from('{"defaultAction":"SCMP_ACT_LOG","listenerPath":"/x"}')],
      /no socket of the node/,
    ],
    ["nested without end", [Buffer.from("[".repeat(100_000))], /holds no seccomp profile/],
  ];
  for (const [at, [what, files, says, config]] of bad.entries()) {
    test(`an artifact ${what} is refused for good`, async () => {
      const { content, profiles } = await open(await home.folder(`bad ${at}`));
      const name = await pushArtifact(registry.host, `bad/${at}`, files, config);
      await assert.rejects(profiles.pull(name, call()), (error: Error & { code: string }) => {
        assert.equal(error.code, "FAILED_PRECONDITION");
        assert.match(error.message, /^SecurityProfileInvalid: /);
        assert.match(error.message, says);
        return true;
      });
      assert.deepEqual([profiles.list(), content.list(namespace)], [[], []]);
    });
  }

  const requests: readonly [what: string, name: () => string, code: string, says: RegExp][] = [
    [
      "without a digest",
      () => `${registry.host}/a/b:1`,
      "INVALID_ARGUMENT",
      /^SecurityProfileInvalid: .*no digest/,
    ],
    ["that is none", () => "No Name", "INVALID_ARGUMENT", /^SecurityProfileInvalid: /],
    ["of nothing", () => `${registry.host}/a/b@${digestOf("nothing")}`, "NOT_FOUND", /a\/b/],
    ["of no registry", () => `127.0.0.1:1/a/b@${digestOf("x")}`, "UNAVAILABLE", /127\.0\.0\.1:1/],
  ];
  for (const [what, name, code, message] of requests) {
    test(`a name ${what} is refused`, async () => {
      const { profiles } = await open(await home.folder(`name ${what}`));
      await assert.rejects(profiles.pull(name(), call()), { code, message });
    });
  }

  test("have as many names as they may, and no more", async () => {
    const { profiles } = await open(await home.folder("names"));
    const name = await pushArtifact(registry.host, "profiles/log", [text]);
    await profiles.pull(name, call());
    const named = (at: number) => name.replace("/log@", `/n${at}@`);
    for (let at = 1; at < 64; at += 1) await profiles.pull(named(at), call());
    await assert.rejects(profiles.pull(named(64), call()), { code: "RESOURCE_EXHAUSTED" });
    assert.equal(profiles.list()[0]?.refs.length, 64);
  });
});
