// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHandler } from "../../config/defaults.ts";
import { shimLaunchOf } from "./shim-launch.ts";

const runc = "io.containerd.runc.v2";
const handlers = {
  first: { ...defaultHandler, type: runc, shimLaunch: "direct" },
  second: { ...defaultHandler, type: runc, shimLaunch: "helper" },
  own: { ...defaultHandler, type: runc, shim: "/opt/shim", shimLaunch: "direct" },
  last: { ...defaultHandler, type: runc, shim: "/opt/shim", shimLaunch: "auto" },
} as const;

test("handlers that share a shim share the careful way to start it", () => {
  assert.equal(shimLaunchOf({ handlers }, runc, ""), "helper");
  assert.equal(shimLaunchOf({ handlers: { first: handlers.first } }, runc, ""), "direct");
  assert.equal(shimLaunchOf({ handlers }, runc, "/opt/shim"), "direct");
  assert.equal(shimLaunchOf({ handlers }, "io.containerd.other.v2", ""), "auto");
});
