// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { fault } from "../base/errors.ts";
import type { LogConfig } from "../config/config.ts";
import { createLog, type DaemonLog } from "./logger.ts";

async function capture(
  config: LogConfig,
  isTerminal = false,
): Promise<DaemonLog & { text: () => string }> {
  let text = "";
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return { ...(await createLog(config, { stream, isTerminal })), text: () => text };
}

test("the log writes one JSON object a line, with level, time, fields and message", async () => {
  const { log, text } = await capture({ level: "info", format: "auto" });
  log.child({ sandbox: "s1" }).info({ durationMs: 5, bytes: 7n }, "sandbox started");
  const line = JSON.parse(text()) as Record<string, unknown>;
  assert.equal(typeof line["time"], "string");
  delete line["time"];
  assert.deepEqual(line, {
    level: "info",
    sandbox: "s1",
    durationMs: 5,
    bytes: 7,
    msg: "sandbox started",
  });
});

test("the log hides environments, credentials and annotations", async () => {
  const { log, text } = await capture({ level: "info", format: "json" });
  const hidden = "hunter2";
  log.info({ env: [hidden], auth: { password: hidden } }, "a");
  log.info({ container: { env: [hidden], metadata: { annotations: { a: hidden } } } }, "b");
  log.error({ err: fault("INTERNAL", "broken", { details: { env: hidden } }) }, "c");
  assert.equal(text().includes(hidden), false, text());
});

test("the log keeps a fault's code, details and chain of causes", async () => {
  const { log, text } = await capture({ level: "info", format: "json" });
  const cause = new Error("inner");
  log.error({ err: fault("NOT_FOUND", "outer", { cause, details: { pid: 3 } }) }, "failed");
  const { err } = JSON.parse(text()) as { err: Record<string, unknown> };
  assert.equal(err["code"], "NOT_FOUND");
  assert.deepEqual(err["details"], { pid: 3 });
  assert.equal((err["cause"] as { message: string }).message, "inner");
});

test("setLevel holds for children that exist", async () => {
  const { log, setLevel, text } = await capture({ level: "warn", format: "json" });
  const child = log.child({});
  child.info({}, "one");
  setLevel("debug");
  child.debug({}, "two");
  log.trace({}, "three");
  setLevel("fatal");
  child.error({}, "four");
  assert.deepEqual(
    text()
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { msg: string }).msg),
    ["two"],
  );
});

test("the log is readable text on a terminal, and JSON there when it is told so", async () => {
  const pretty = await capture({ level: "info", format: "auto" }, true);
  pretty.log.info({ sandbox: "s1" }, "sandbox started");
  assert.match(pretty.text(), /INFO.*sandbox started.*"sandbox":"s1"/s);
  const json = await capture({ level: "info", format: "json" }, true);
  json.log.info({}, "x");
  assert.ok(json.text().startsWith("{"));
});

test("a text that a client made long is cut, wherever it stands in a line", async () => {
  const lines: string[] = [];
  const { log } = await createLog(
    { level: "info", format: "json" },
    { stream: { write: (line) => void lines.push(line) } },
  );
  const long = "x".repeat(1_000_000);
  const err = new Error(long, { cause: new Error(long) });
  log.info({ err, what: long }, "refused");
  assert.ok((lines[0]?.length ?? 0) < 60_000, `${lines[0]?.length}`);
  assert.match(lines[0] ?? "", /x… \(1000000 characters\)/);
});
