// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { mirrorCritestRegistries, pushCritestImages } from "../../support/critest-images.ts";
import { failuresOf, runCritest, summary } from "../../support/critest-run.ts";
import { type Daemon, startDaemon } from "../../support/daemon.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { newerRuncOrReason } from "../../support/newer-runc.ts";
import { type Registry, startRegistry } from "../../support/registry.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";

/** What skips itself with the runc of an older Debian release. */
const focus = ["UserNamespaces", "runtime should support readonly mounts"];
/** BERTH_TEST_CRITEST_NEWER_RUNC=all runs every spec instead, in two minutes. */
const isWhole = process.env["BERTH_TEST_CRITEST_NEWER_RUNC"] === "all";
/** Pinned by digest to an image at gcr.io, which only gcr.io can serve. */
const unservable = ["public image with digest"];

const tool = await toolOrReason("critest");
const lacks = lacking(...podPrograms, "apt-get", "dpkg-deb") || tool.skip;
const runc = lacks === false ? await newerRuncOrReason() : { skip: lacks };

suite("critest with a newer runc", { skip: runc.skip }, () => {
  let home: Scratch;
  let registry: Registry;
  let daemon: Daemon;
  before(async () => {
    home = await scratch({ prefix: "critest", space: false });
    registry = await startRegistry(await home.folder("registry"));
    await pushCritestImages(registry, await home.folder("images"));
    const handler = { binary_name: runc.skip === false ? runc.binary : "" };
    daemon = await startDaemon({ config: { runtime: { handlers: { runc: handler } } } });
    await mirrorCritestRegistries(path.join(daemon.folder, "certs.d"), registry);
  });
  after(async () => {
    try {
      await daemon?.assertCleanEnd();
    } finally {
      await daemon?.[Symbol.asyncDispose]();
      await registry?.[Symbol.asyncDispose]();
      await home?.[Symbol.asyncDispose]();
    }
  });

  test(isWhole ? "everything" : "user namespaces and recursive read-only mounts", async (t) => {
    const results = await runCritest({
      critest: tool.skip === false ? tool.path : "",
      socket: daemon.socket,
      focus: isWhole ? [] : focus,
      skip: unservable,
      folder: await home.folder("report"),
      timeoutMs: 20 * 60_000,
    });
    t.diagnostic(summary(results));
    assert.deepEqual(failuresOf(results), []);
    const skipped = results.filter(({ state }) => state === "skipped").map(({ name }) => name);
    assert.deepEqual(
      skipped.filter((name) => !/apparmor/i.test(name)),
      [],
      "skipped although this runc can",
    );
    assert.ok(results.length >= (isWhole ? 107 : 11), `only ${results.length} specs ran`);
  });
});
