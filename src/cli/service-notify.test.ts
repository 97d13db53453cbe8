// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../base/logger.ts";
import { openNotifySocket } from "./service-notify.ts";

test("notifying does nothing without a socket, and only warns when the socket is not there", () => {
  const warnings: string[] = [];
  const log = {
    ...silentLogger,
    warn: (_fields: unknown, message: string) => void warnings.push(message),
  };
  openNotifySocket(undefined, log)("READY=1");
  openNotifySocket("relative", log)("READY=1");
  assert.deepEqual(warnings, []);
  openNotifySocket("/nonexistent/notify.sock", log)("READY=1");
  openNotifySocket("@berth-abstract-that-nobody-listens-on", log)("READY=1");
  assert.deepEqual(warnings, [
    "cannot notify the service manager",
    "cannot notify the service manager",
  ]);
});
