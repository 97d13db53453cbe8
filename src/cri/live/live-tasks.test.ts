// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isFault } from "../../base/errors.ts";
import type { Container, Task } from "../../client/ports.ts";
import type { ContainerLog } from "../../logs/ports.ts";
import type { OciProcess } from "../../oci/spec.ts";
import { LiveContainer } from "./live-container.ts";
import { LiveSandbox } from "./live-sandbox.ts";
import { LiveSet } from "./live-set.ts";

/** What is only handed on here, never asked. */
function token<T>(name: string): T {
  return { name } as T;
}

function ending(): { recorded: PromiseWithResolvers<void>; finished: PromiseWithResolvers<void> } {
  return { recorded: Promise.withResolvers(), finished: Promise.withResolvers() };
}

function watched(live: LiveContainer | LiveSandbox): ReturnType<typeof ending> {
  const { recorded, finished } = ending();
  live.watch(token<Task>("task"), { recorded: recorded.promise, finished: finished.promise });
  return { recorded, finished };
}

describe("what is held of a task", () => {
  for (const make of [() => new LiveContainer("4f1c"), () => new LiveSandbox("4f1c")]) {
    const { name } = make().constructor;

    it(`${name}: unwatched, running, exited, finished`, async () => {
      const live = make();
      const facts = (): unknown[] => [live.task !== undefined, live.hasExited];
      assert.deepEqual(facts(), [false, false]);
      assert.deepEqual([live.exited, live.finished], [undefined, undefined]);

      const { recorded, finished } = watched(live);
      assert.deepEqual(facts(), [true, false]);

      recorded.resolve();
      await live.exited;
      assert.deepEqual(facts(), [true, true]);

      let isFinished = false;
      void live.finished?.then(() => {
        isFinished = true;
      });
      await new Promise(setImmediate);
      assert.equal(isFinished, false, "the task is still there");
      finished.resolve();
      await live.finished;
    });

    it(`${name}: shows the exit to whoever waits for it`, async () => {
      const live = make();
      const { recorded } = watched(live);
      const seen = live.exited?.then(() => live.hasExited);
      recorded.resolve();
      assert.equal(await seen, true);
    });

    it(`${name}: is watched once`, () => {
      const live = make();
      watched(live);
      const first = live.task;
      assert.throws(
        () => watched(live),
        (error) => isFault(error, "INTERNAL") && error.message.includes('"4f1c"'),
      );
      assert.equal(live.task, first);
    });

    it(`${name}: takes nothing new any more, also once its task has ended`, async () => {
      const live = make();
      assert.equal(live.ending, false);
      live.refuseNew();
      live.refuseNew();
      assert.equal(live.ending, true);
      watched(live).recorded.resolve();
      await live.exited;
      assert.equal(live.ending, true);
    });

    it(`${name}: keeps the last handle of its record, and loads one only where it has none`, async () => {
      const live = make();
      const [loaded, newer] = [token<Container>("loaded"), token<Container>("newer")];
      assert.equal(live.container, undefined);
      const failing = live.loaded(() => Promise.reject(new Error("not now")));
      await assert.rejects(failing, /not now/);
      assert.equal(await live.loaded(() => Promise.resolve(loaded)), loaded);
      assert.equal(live.container, loaded);
      live.keep(newer);
      assert.equal(await live.loaded(() => assert.fail("it is at hand")), newer);
    });
  }
});

describe("LiveContainer", () => {
  it("sends the stop signal once, also when that fails", async () => {
    const live = new LiveContainer("4f1c");
    const sent: string[] = [];
    const send = (word: string) => (): Promise<void> => {
      sent.push(word);
      return Promise.reject(new Error("the shim is gone"));
    };
    await assert.rejects(live.signalStop(send("first")), /the shim is gone/);
    await live.signalStop(send("second"));
    assert.deepEqual(sent, ["first"]);
  });

  it("does not wait for a first signal that hangs when it is asked again", async () => {
    const live = new LiveContainer("4f1c");
    const never = Promise.withResolvers<void>();
    void live.signalStop(() => never.promise);
    await live.signalStop(() => assert.fail("it is sent already"));
  });

  it("gives its stdin to one client, and to the next once it is given back", () => {
    const live = new LiveContainer("4f1c");
    assert.equal(live.takeStdin(), true);
    assert.equal(live.takeStdin(), false);
    live.giveBackStdin();
    assert.equal(live.takeStdin(), true);
  });

  it("closes its log once, and keeps one that could not be closed", async () => {
    const live = new LiveContainer("4f1c");
    await live.closeLog();
    let closed = 0;
    let broken = true;
    const log: Partial<ContainerLog> = {
      [Symbol.asyncDispose]: async () => {
        closed += 1;
        if (broken) throw new Error("busy");
      },
    };
    live.keepLog(log as ContainerLog);
    await assert.rejects(live.closeLog(), /busy/);
    assert.equal(live.log, log);
    broken = false;
    await live.closeLog();
    await live.closeLog();
    assert.deepEqual([live.log, closed], [undefined, 2]);
  });

  it("reads its process once, and again after a failure", async () => {
    const live = new LiveContainer("4f1c");
    await assert.rejects(
      live.process(() => Promise.reject(new Error("not now"))),
      /not now/,
    );
    const process = token<OciProcess>("process");
    assert.equal(await live.process(() => Promise.resolve(process)), process);
    assert.equal(await live.process(() => assert.fail("it is read")), process);
  });
});

describe("LiveSandbox", () => {
  it("counts the failures of its network", () => {
    const live = new LiveSandbox("4f1c");
    assert.equal(live.networkFailures, 0);
    live.networkFailed();
    live.networkFailed();
    assert.equal(live.networkFailures, 2);
  });

  it("knows what CHECK found, unless it ends", () => {
    const live = new LiveSandbox("4f1c");
    assert.equal(live.networkCheck, undefined);
    assert.equal(live.networkChecked("OK"), true);
    live.refuseNew();
    assert.equal(live.networkChecked("no route"), false);
    assert.equal(live.networkCheck, "OK");
  });
});

describe("LiveSet", () => {
  it("makes each once, looks without making, and knows the monitors that run", () => {
    const set = new LiveSet((id) => new LiveSandbox(id));
    assert.equal(set.get("4f1c"), undefined);
    const live = set.of("4f1c");
    assert.equal(set.of("4f1c"), live);
    assert.equal(set.get("4f1c"), live);
    assert.deepEqual(set.monitors(), []);
    watched(live);
    set.of("other");
    assert.deepEqual(set.monitors(), [live.finished]);
    set.delete("4f1c");
    assert.equal(set.get("4f1c"), undefined);
    assert.deepEqual(set.monitors(), []);
  });
});
