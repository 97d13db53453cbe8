// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { onAbort } from "./on-abort.ts";

const reason = new Error("enough");

test("onAbort reacts once, with the reason, and leaves no listener", () => {
  const control = new AbortController();
  const told: Error[] = [];
  using _reaction = onAbort(control.signal, (why) => told.push(why));
  assert.deepEqual(told, []);
  control.abort(reason);
  control.abort(new Error("again"));
  assert.deepEqual(told, [reason]);
  assert.equal(getEventListeners(control.signal, "abort").length, 0);
});

test("onAbort reacts at once to a signal that has fired", () => {
  const told: Error[] = [];
  onAbort(AbortSignal.abort(reason), (why) => told.push(why))[Symbol.dispose]();
  assert.deepEqual(told, [reason]);
});

test("a reaction that was taken back does not come, nor one without a signal", () => {
  const control = new AbortController();
  const told: Error[] = [];
  const reaction = onAbort(control.signal, (why) => told.push(why));
  reaction[Symbol.dispose]();
  reaction[Symbol.dispose]();
  assert.equal(getEventListeners(control.signal, "abort").length, 0);
  control.abort(reason);
  onAbort(undefined, (why) => told.push(why))[Symbol.dispose]();
  assert.deepEqual(told, []);
});

test("nothing else in src/ listens for aborts", () => {
  const root = path.resolve(import.meta.dirname, "..");
  const listens = /\b(?:addEventListener|on|once|nextEvent)\([^;]{0,60}["'`]abort["'`]|\.onabort\b/;
  assert.match('signal.addEventListener("abort", cut);', listens);
  const files = globSync("**/*.ts", { cwd: root });
  const bad = files.filter(
    (file) =>
      file !== "base/on-abort.ts" &&
      !file.endsWith(".test.ts") &&
      listens.test(readFileSync(path.join(root, file), "utf8")),
  );
  assert.deepEqual(bad, []);
});
