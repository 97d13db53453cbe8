// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../base/errors.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import type { Config } from "./config.ts";
import { defaultConfig } from "./defaults.ts";
import { LiveConfig } from "./live-config.ts";
import { ReloadHistory } from "./reload-history.ts";
import { KeyFault, type PreparedReload, type ReloadPart } from "./reload-port.ts";
import { Reloader } from "./reloader.ts";

const wish: Config = {
  ...defaultConfig,
  root: "/elsewhere",
  log: { ...defaultConfig.log, level: "debug" },
  metrics: { address: "127.0.0.1:1" },
};

/** A reloader of parts that tell what they are asked for. */
function arrange(
  parts: readonly ReloadPart[],
  load: () => Config = () => wish,
  log: Logger = silentLogger,
) {
  const live = new LiveConfig(defaultConfig);
  const history = new ReloadHistory(defaultConfig);
  const reloader = new Reloader({
    live,
    history,
    parts,
    held: [],
    load: () => ({
      config: load(),
      warnings: [],
      sources: [],
      originOf: (key) => `/etc/${key[0] ?? ""}.toml`,
    }),
    log,
  });
  return { live, history, reloader };
}

function part(told: string[], key: string, prepare?: () => Promise<void>): ReloadPart {
  return {
    keys: [key],
    prepare: async (_next, changes): Promise<PreparedReload> => {
      told.push(`prepare ${changes.map((one) => one.key.join(".")).join()}`);
      await prepare?.();
      return {
        commit: () => told.push(`commit ${key}`),
        rollback: async () => {
          told.push(`rollback ${key}`);
        },
      };
    },
  };
}

test("all parts are prepared, then all are committed, and each hears of its own keys only", async () => {
  const told: string[] = [];
  const parts = ["log.level", "metrics", "cni"].map((key) => part(told, key));
  const { live, history, reloader } = arrange(parts);
  await reloader.reload();
  assert.deepEqual(told.toSorted(), [
    "commit log.level",
    "commit metrics",
    "prepare log.level",
    "prepare metrics.address",
  ]);
  assert.ok(told.findLastIndex((one) => one.startsWith("prepare")) < 2, told.join());
  assert.deepEqual(live.current, { ...wish, root: defaultConfig.root });
  const { last, successes, waiting } = history.facts;
  assert.deepEqual([last?.result, last?.changes.length, successes], ["success", 2, 1]);
  assert.deepEqual(waiting, ['root: "/var/lib/berthd" → "/elsewhere"']);
});

test("a file that is named and not there is told, before the reload is", async () => {
  const told: unknown[] = [];
  const log: Logger = {
    ...silentLogger,
    warn: ({ warning }, text) => told.push([text, warning]),
    info: (_facts, text) => told.push(text),
  };
  const streaming = { ...wish.streaming, tlsCertFile: "/nowhere/tls.crt" };
  const { reloader } = arrange([], () => ({ ...wish, streaming }), log);
  await reloader.reload();
  assert.deepEqual(told.slice(0, 2), [
    [
      "configuration warning",
      '"streaming.tls_cert_file" is /nowhere/tls.crt, which is not there: exec, attach and port-forward do not work (in /etc/streaming.toml)',
    ],
    "configuration reloaded",
  ]);
});

const failures: readonly (readonly [string, Error, string])[] = [
  [
    "with a key",
    new KeyFault("NOT_FOUND", ["metrics", "address"], "gone"),
    '"metrics.address" in /etc/metrics.toml: gone',
  ],
  [
    "without one",
    fault("ALREADY_EXISTS", "taken"),
    '"metrics.address" in /etc/metrics.toml: taken',
  ],
];
for (const [how, error, reason] of failures) {
  test(`a part that fails ${how} lets all others roll back, and nothing changes`, async () => {
    const told: string[] = [];
    const failing = part(told, "metrics", () => Promise.reject(error));
    const { live, history, reloader } = arrange([part(told, "log.level"), failing]);
    await reloader.reload();
    assert.deepEqual(told.slice(2), ["rollback log.level"]);
    assert.equal(live.current, defaultConfig);
    const { failures: count, last, loadedAtMs, waiting } = history.facts;
    assert.deepEqual([count, last?.reason, waiting], [1, reason, []]);
    assert.ok(loadedAtMs <= (last?.atMs ?? 0));
  });
}

test("files that cannot be read or are wrong change nothing, and the next reload is not held back", async () => {
  const files: (() => Config)[] = [
    () => {
      throw fault("INVALID_ARGUMENT", "unknown key");
    },
    () => wish,
  ];
  const { live, history, reloader } = arrange([], () => files.shift()!());
  await reloader.reload();
  assert.equal(live.current, defaultConfig);
  assert.equal(history.facts.last?.reason, "unknown key");
  await reloader.reload();
  assert.equal(live.current.log.level, "debug");
  assert.deepEqual([history.facts.successes, history.facts.failures], [1, 1]);
});

test("reloads that are asked for while one runs are one more, after it", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const levels: Config["log"]["level"][] = ["debug", "warn", "error"];
  let loads = 0;
  const load = (): Config => {
    loads += 1;
    return { ...defaultConfig, log: { ...defaultConfig.log, level: levels.shift() ?? "info" } };
  };
  const { live, reloader } = arrange([part([], "log.level", () => promise)], load);
  const asked = [reloader.reload(), reloader.reload(), reloader.reload()];
  resolve();
  await Promise.all(asked);
  assert.deepEqual([loads, live.current.log.level], [2, "warn"]);
});

test("the daemon's end rolls a reload back", async () => {
  const told: string[] = [];
  const slow: ReloadPart = {
    keys: ["metrics"],
    prepare: async (_next, _changes, { signal }) => {
      await new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      throw new Error("not reached");
    },
  };
  const { live, history, reloader } = arrange([part(told, "log.level"), slow]);
  const reload = reloader.reload();
  await reloader[Symbol.asyncDispose]();
  await reload;
  assert.deepEqual(told, ["prepare log.level", "rollback log.level"]);
  assert.equal(live.current, defaultConfig);
  assert.equal(history.facts.last, undefined);
});
