// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { until } from "../../test/support/until.ts";
import { isFault } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { LogWorkerLink } from "./log-worker-link.ts";

const worker = new URL("./worker.ts", import.meta.url).href;
/** Of which no thread can be made, as on a node that is short of processes. */
const none = "https://localhost/worker.ts";

const failed: unknown[] = [];
const log = { ...silentLogger, error: ({ err }: { err?: unknown }) => void failed.push(err) };

suite("a log worker for which no thread can be started", () => {
  const link = (entry: URL, onRestart = () => {}): LogWorkerLink =>
    new LogWorkerLink(log, { onNotice() {}, onRestart, onHang() {} }, { entry });
  const ask = (to: LogWorkerLink): Promise<void> => to.request({ kind: "close-all" });
  const isUnavailable = (error: unknown): boolean =>
    isFault(error, "UNAVAILABLE") && /cannot start a thread for logs/.test(String(error));

  test("the next request tries it again", async () => {
    const entry = new URL(none);
    await using logs = link(entry);
    await assert.rejects(ask(logs), isUnavailable);
    await assert.rejects(ask(logs), isUnavailable);
    entry.href = worker;
    await ask(logs);
  });

  test("one that is to replace a dead one is tried again until there is one", async () => {
    const entry = new URL("data:text/javascript,process.exit(3)");
    let restarts = 0;
    await using logs = link(entry, () => void (restarts += 1));
    const failures = failed.length;
    await assert.rejects(ask(logs), /log worker ended/);
    entry.href = none;
    await until("no thread can be started", () => failed.slice(failures).some(isUnavailable));
    await assert.rejects(ask(logs), /log worker is not running/);
    entry.href = worker;
    await until("there is another", () => restarts === 1);
    await ask(logs);
  });
});
