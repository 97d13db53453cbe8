// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
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

test("all reactions to a signal come, in their order, but those that one of them takes back", () => {
  const control = new AbortController();
  const told: string[] = [];
  const add = (name: string) => onAbort(control.signal, () => told.push(name));
  add("a");
  const gone = add("gone");
  onAbort(control.signal, () => late[Symbol.dispose]());
  const late = add("late");
  add("b");
  gone[Symbol.dispose]();
  assert.equal(getEventListeners(control.signal, "abort").length, 1);
  control.abort(reason);
  assert.deepEqual(told, ["a", "b"]);
  add("after");
  assert.deepEqual(told, ["a", "b", "after"]);
});

test("a reaction that throws keeps no other from its signal, and ends the program as any error that nobody catches", () => {
  const program = `
    import { onAbort } from ${JSON.stringify(new URL("./on-abort.ts", import.meta.url).href)};
    const control = new AbortController();
    onAbort(control.signal, () => { throw new Error("thrown by a reaction"); });
    onAbort(control.signal, ({ message }) => console.log(message));
    control.abort(new Error("stop"));`;
  const args = ["--input-type=module", "--eval", program];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.deepEqual([status, stdout], [1, "stop\n"]);
  assert.match(stderr, /thrown by a reaction/);
});

test("a signal whose reactions have all gone takes others", () => {
  const control = new AbortController();
  const told: Error[] = [];
  for (let i = 0; i < 3; i += 1) onAbort(control.signal, () => assert.fail())[Symbol.dispose]();
  onAbort(control.signal, (why) => told.push(why));
  control.abort(reason);
  assert.deepEqual(told, [reason]);
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
