// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeWorld } from "../../../test/support/cri/fake-world.ts";
import { until } from "../../../test/support/until.ts";
import { fault } from "../../base/errors.ts";
import { codec } from "../../rpc/codec.ts";

describe("ExecSync", () => {
  it("answers output and exit code, with the container's process as the spec", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    task.onExec = (process) => process.end(4);
    world.execOutput = { stdout: "out", stderr: "err" };
    const answer = await world.call("ExecSync", { containerId, cmd: ["ls", "-l"] });
    assert.deepEqual(answer, {
      stdout: Buffer.from("out"),
      stderr: Buffer.from("err"),
      exitCode: 4,
    });
    assert.deepEqual(task.execs[0]?.spec, {
      user: { uid: 0, gid: 0 },
      args: ["ls", "-l"],
      env: ["A=b"],
      cwd: "/",
      terminal: false,
    });
    await until("the exec is cleared away", () => world.steps.done.at(-1) === "close exec io");
    assert.ok(world.steps.done.includes("delete exec"));
  });

  it("kills the command at its timeout and says DEADLINE_EXCEEDED", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    task.onExec = () => {};
    const request = { containerId, cmd: ["sleep", "60"], timeout: 1n };
    await assert.rejects(world.call("ExecSync", request), {
      code: "DEADLINE_EXCEEDED",
      message: 'command "sleep 60" timed out after 1s',
    });
    assert.deepEqual(task.execs[0]?.process.signals, [9]);
    assert.ok(world.steps.done.includes("delete exec"));
  });

  it("kills the command when its caller goes", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    const caller = new AbortController();
    task.onExec = () => caller.abort(fault("CANCELLED", "the caller has gone"));
    await assert.rejects(world.call("ExecSync", { containerId, cmd: ["sleep"] }, caller.signal), {
      code: "CANCELLED",
    });
    assert.deepEqual(task.execs[0]?.process.signals, [9]);
  });

  it("answers what it has when a child keeps the output open", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    world.execOutput = { stdout: "early", stderr: "" };
    world.drains = false;
    const { stdout } = await world.call("ExecSync", { containerId, cmd: ["daemonize"] });
    assert.equal(Buffer.from(stdout ?? "").toString(), "early");
  });

  it("passes on why a command could not start, and removes it", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const message = 'exec: "nope": executable file not found in $PATH';
    world.steps.fail("start exec", fault("UNKNOWN", message));
    await assert.rejects(world.call("ExecSync", { containerId, cmd: ["nope"] }), { message });
    assert.ok(world.steps.done.includes("delete exec"));
  });

  it("refuses what cannot be executed", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod();
    const containerId = await world.createContainer(pod);
    await assert.rejects(world.call("ExecSync", { containerId: "nope", cmd: ["ls"] }), {
      code: "NOT_FOUND",
      message: 'container "nope" not found',
    });
    await assert.rejects(world.call("ExecSync", { containerId, cmd: ["ls"] }), {
      code: "FAILED_PRECONDITION",
      message: `cannot exec in container "${containerId}": state is created, not running`,
    });
    await assert.rejects(world.call("ExecSync", { containerId, cmd: [] }), {
      code: "INVALID_ARGUMENT",
      message: "cmd is empty",
    });
  });

  const mebi = 1024 * 1024;
  const room = 16 * mebi - 64;
  for (const [stdout, stderr, wanted] of [
    [8 * mebi, 7 * mebi, [8 * mebi, 7 * mebi]],
    [16 * mebi, 16 * mebi, [room / 2, room / 2]],
    [16 * mebi, 5, [room - 5, 5]],
    [5, 16 * mebi, [5, room - 5]],
    [16 * mebi, 0, [room, 0]],
  ] as const) {
    it(`answers what kubelets take of ${stdout} and ${stderr} bytes`, async () => {
      await using world = await FakeWorld.create();
      const containerId = await world.startedContainer(await world.runPod());
      world.execOutput = { stdout: "o".repeat(stdout), stderr: "e".repeat(stderr) };
      const answer = await world.call("ExecSync", { containerId, cmd: ["cat"] });
      assert.deepEqual([answer.stdout?.length, answer.stderr?.length], wanted);
      const message = codec("runtime.v1.ExecSyncResponse").encode(answer);
      assert.ok(message.length <= 16 * mebi);
    });
  }
});
