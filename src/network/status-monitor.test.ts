// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { silentLogger } from "../base/logger.ts";
import type { NetworkConf } from "./conf.ts";
import { StatusMonitor } from "./status-monitor.ts";

function conf(name: string, cniVersion = "1.1.0"): NetworkConf {
  const plugins = [{ type: "p", capabilities: [], raw: { type: "p" } }];
  return {
    name,
    cniVersion,
    offered: [cniVersion],
    disableCheck: false,
    disableGc: false,
    plugins,
  };
}

/** A monitor whose plugins answer what the test says, by network. */
function setUp(): {
  readonly monitor: StatusMonitor;
  readonly asked: string[];
  readonly answers: Map<string, Promise<void>>;
} {
  const asked: string[] = [];
  const answers = new Map<string, Promise<void>>();
  const monitor = new StatusMonitor({
    ask: ({ name }) => {
      asked.push(name);
      return answers.get(name) ?? Promise.resolve();
    },
    log: silentLogger,
    pollMs: 1000,
  });
  return { monitor, asked, answers };
}

test("StatusMonitor asks networks of CNI 1.1 again and again, and no others", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const { answers, asked, monitor } = setUp();
  monitor.watch([conf("old", "1.0.0"), conf("new")]);
  assert.match(monitor.complaints.get("new") ?? "", /have not answered STATUS yet/);
  await monitor.answered();
  assert.equal(monitor.complaints.size, 0);
  const refused = Promise.reject(new Error("no route"));
  refused.catch(() => {});
  answers.set("new", refused);
  t.mock.timers.tick(1000);
  await monitor.answered();
  assert.deepEqual([...monitor.complaints], [["new", "no route"]]);
  answers.delete("new");
  t.mock.timers.tick(1000);
  await monitor.answered();
  assert.equal(monitor.complaints.size, 0);
  assert.deepEqual(asked, ["new", "new", "new"]);
  await monitor[Symbol.asyncDispose]();
});

test("StatusMonitor does not ask a plugin again that sleeps, and goes on with the others", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const { answers, asked, monitor } = setUp();
  const sleeping = Promise.withResolvers<void>();
  answers.set("slow", sleeping.promise);
  monitor.watch([conf("slow"), conf("quick")]);
  await new Promise(setImmediate);
  t.mock.timers.tick(1000);
  await new Promise(setImmediate);
  assert.deepEqual(asked, ["slow", "quick", "quick"]);
  assert.deepEqual([...monitor.complaints.keys()], ["slow"]);
  sleeping.resolve();
  await monitor.answered();
  assert.equal(monitor.complaints.size, 0);
  await monitor[Symbol.asyncDispose]();
});

test("StatusMonitor keeps a network's last answer over a change of its configuration", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const { answers, monitor } = setUp();
  monitor.watch([conf("a")]);
  await monitor.answered();
  const refused = Promise.reject(new Error("not with this one"));
  refused.catch(() => {});
  answers.set("a", refused);
  monitor.watch([conf("a"), conf("b")]);
  assert.deepEqual([...monitor.complaints.keys()], ["b"]);
  await monitor.answered();
  assert.deepEqual([...monitor.complaints], [["a", "not with this one"]]);
  monitor.watch([]);
  assert.equal(monitor.complaints.size, 0);
  await monitor[Symbol.asyncDispose]();
});
