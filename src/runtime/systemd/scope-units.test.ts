// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Asked, scriptedBus } from "../../../test/support/scripted-bus.ts";
import { deadline } from "../../base/deadline.ts";
import { fault } from "../../base/errors.ts";
import { type NewScope, ScopeUnits, type ScopeUnitsOptions } from "./scope-units.ts";

const scope: NewScope = {
  unit: "cri-containerd-a.scope",
  slice: "kubepods.slice",
  pid: 42,
  shares: 2,
  isUnified: true,
};
/** For one test, which ends long before. */
const call = {
  get signal() {
    return AbortSignal.timeout(60_000);
  },
};
const done = "JobRemoved";

/** Units on a bus of the test's own; processes are in a scope once a job of it was done. */
async function unitsOn(
  t: TestContext,
  script: Parameters<typeof scriptedBus>[0],
  options: ScopeUnitsOptions = {},
) {
  const bus = await scriptedBus(script);
  const units = new ScopeUnits({
    places: [{ path: bus.path, isBus: true }],
    isIn: async () => bus.isDone(),
    ...options,
  });
  t.after(async () => {
    units[Symbol.dispose]();
    await bus[Symbol.asyncDispose]();
  });
  return { bus, units };
}

const membersOf = (asked: readonly Asked[]): string[] => asked.map(({ member }) => member);
const greeting = ["Hello", "GetNameOwner", "AddMatch"];

test("a scope is started with its process in it", async (t) => {
  const { bus, units } = await unitsOn(t, { StartTransientUnit: ["answer", done] });
  await units.start(scope, call);
  assert.deepEqual(membersOf(bus.asked), [...greeting, "StartTransientUnit"]);
  const [, , , start] = bus.asked;
  assert.deepEqual(start?.body, ["cri-containerd-a.scope", "replace"]);
  const text = start?.bytes.toString("latin1") ?? "";
  for (const part of ["kubepods.slice", "PIDs", "Delegate", "inactive-or-failed", "CPUWeight"])
    assert.ok(text.includes(part), part);
  await units.start({ ...scope, unit: "cri-containerd-b.scope" }, call);
  assert.equal(bus.connections(), 1, "one for both");
});

test("its share has another name with cgroup v1", async (t) => {
  const { bus, units } = await unitsOn(t, { StartTransientUnit: ["answer", done] });
  await units.start({ ...scope, isUnified: false }, call);
  assert.match(bus.asked.at(-1)?.bytes.toString("latin1") ?? "", /BlockIOAccounting[^]*CPUShares/);
});

test("the end of a job may come before the answer that names it", async (t) => {
  const { units } = await unitsOn(t, { StartTransientUnit: [done, "answer"] });
  await units.start(scope, call);
});

test("what systemd refuses is told", async (t) => {
  const { units } = await unitsOn(t, { StartTransientUnit: ["org.x.No: not today"] });
  await assert.rejects(units.start(scope, call), {
    code: "FAILED_PRECONDITION",
    message: 'cannot start scope "cri-containerd-a.scope": systemd says not today',
  });
});

test("a job that fails is a scope that was not started", async (t) => {
  const { units } = await unitsOn(t, { StartTransientUnit: ["answer", "failed"] });
  await assert.rejects(units.start(scope, call), {
    code: "FAILED_PRECONDITION",
    message: /did not put process 42 into scope "cri-containerd-a.scope": its job is failed$/,
  });
});

test("a failed unit of the same name is cleared away first", async (t) => {
  const { bus, units } = await unitsOn(t, {
    StartTransientUnit: ["org.freedesktop.systemd1.UnitExists: it exists"],
    ResetFailedUnit: ["answer"],
    again: ["answer", done],
  });
  await units.start(scope, call);
  assert.deepEqual(membersOf(bus.asked).slice(3), [
    "StartTransientUnit",
    "ResetFailedUnit",
    "StartTransientUnit",
  ]);
});

test("another's signal ends no job", async (t) => {
  const { units } = await unitsOn(t, { StartTransientUnit: ["answer", "forged"] });
  using limit = deadline(300, fault("DEADLINE_EXCEEDED", "nothing came"));
  await assert.rejects(units.start(scope, limit), { code: "DEADLINE_EXCEEDED" });
});

test("a systemd that signals under another name, as after daemon-reexec, is greeted again", async (t) => {
  const { bus, units } = await unitsOn(
    t,
    { StartTransientUnit: ["answer", "forged"], again: ["answer", done] },
    { isIn: async () => true },
  );
  await units.start(scope, call);
  await units.start({ ...scope, unit: "cri-containerd-b.scope" }, call);
  assert.equal(bus.connections(), 2);
});

test("a scope that is gone is stopped", async (t) => {
  const { bus, units } = await unitsOn(t, {
    StopUnit: ["org.freedesktop.systemd1.NoSuchUnit: not loaded"],
  });
  await units.stop(scope.unit, call);
  assert.deepEqual(membersOf(bus.asked).slice(3), ["StopUnit"]);
});

test("a scope that has failed is stopped, and forgotten", async (t) => {
  const { bus, units } = await unitsOn(t, {
    StopUnit: ["answer", done],
    ResetFailedUnit: ["org.freedesktop.systemd1.NoSuchUnit: not loaded"],
  });
  await units.stop(scope.unit, call);
  assert.deepEqual(membersOf(bus.asked).slice(3), ["StopUnit", "ResetFailedUnit"]);
});

test("a bus that was started anew is connected to again", async (t) => {
  const { bus, units } = await unitsOn(t, {
    StopUnit: ["answer", done],
    ResetFailedUnit: ["answer"],
  });
  await units.stop(scope.unit, call);
  bus.hangUp();
  await units.stop(scope.unit, call);
  assert.equal(bus.connections(), 2);
});

test("a bus that hangs up fails the call", async (t) => {
  const { units } = await unitsOn(t, { StartTransientUnit: ["hang up"] });
  await assert.rejects(units.start(scope, call), {
    code: "UNAVAILABLE",
    message: "D-Bus connection is closed",
  });
});

for (const [what, greet, message] of [
  ["refuses us", "REJECTED EXTERNAL\r\n", /the peer says "REJECTED EXTERNAL"$/],
  ["talks without end", "x".repeat(100_000), /the peer says "x+"$/],
  [
    "goes on before it is asked",
    "OK 1\r\nHTTP/1.1 400 Bad Request\r\n\r\n",
    /the peer says "OK 1"$/,
  ],
] as const) {
  test(`a peer that ${what} is none`, async (t) => {
    const { units } = await unitsOn(t, { greet });
    await assert.rejects(units.stop(scope.unit, call), { code: "UNAVAILABLE", message });
  });
}

test("without a bus systemd's own socket is used", async (t) => {
  const bus = await scriptedBus({ StopUnit: ["answer", done], ResetFailedUnit: ["answer"] });
  t.after(() => bus[Symbol.asyncDispose]());
  using units = new ScopeUnits({
    places: [
      { path: `${bus.path}.not`, isBus: true },
      { path: bus.path, isBus: false },
    ],
  });
  await units.stop(scope.unit, call);
  assert.deepEqual(membersOf(bus.asked), ["StopUnit", "ResetFailedUnit"]);
});

test("without systemd a scope cannot be started", async () => {
  using units = new ScopeUnits({ places: [{ path: "/nowhere", isBus: true }] });
  await assert.rejects(units.start(scope, call), {
    code: "UNAVAILABLE",
    message: /cannot connect to "\/nowhere"/,
  });
});
