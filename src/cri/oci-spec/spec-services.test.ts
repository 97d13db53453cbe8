// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { plainHost } from "../../../test/support/spec-input.ts";
import { type Logger, silentLogger } from "../../base/logger.ts";
import { defaultConfig } from "../../config/defaults.ts";
import { createSpecServices } from "./spec-services.ts";

const { signal } = new AbortController();

test("a file of block I/O classes that is no good is told at the start, not only when a pod asks", async () => {
  await using place = await scratch();
  const file = path.join(place.path, "classes.yaml");
  await writeFile(file, "Classes: [");
  const { promise: warned, resolve } = Promise.withResolvers<unknown>();
  const log: Logger = { ...silentLogger, warn: ({ err }) => resolve(err) };
  const config = {
    ...defaultConfig,
    state: place.path,
    cri: { ...defaultConfig.cri, blockioConfigFile: file },
  };
  const services = createSpecServices(config, plainHost, log, signal);
  assert.match(String(await warned), /cannot use blockio_config_file/);
  await assert.rejects(services.blockio.read(), { code: "FAILED_PRECONDITION" });
});

test("a host without AppArmor has no default profile, and that is no reason to warn", async () => {
  await using place = await scratch();
  const log: Logger = { ...silentLogger, warn: () => assert.fail("it warned") };
  const config = { ...defaultConfig, state: place.path };
  const { apparmor, blockio } = createSpecServices(config, plainHost, log, signal);
  assert.match((await apparmor.byDefault.ensure()) ?? "", /has no AppArmor/);
  assert.equal(apparmor.byDefault.name, "berth-default");
  assert.equal(await blockio.read(), undefined);
});
