// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { FakeWorld } from "../../../test/support/cri/fake-world.ts";
import { fault } from "../../base/errors.ts";
import type { ExecTarget, StreamingServer } from "../../streaming/ports.ts";

const call = { signal: AbortSignal.timeout(60_000) };
const outputs = { stdin: false, stdout: true, stderr: true, tty: false };

async function running(): Promise<{ world: FakeWorld; containerId: string; target: ExecTarget }> {
  const world = await FakeWorld.create();
  const containerId = await world.startedContainer(await world.runPod());
  world.client.taskOf("container").onExec = () => {};
  return { world, containerId, target: { containerId, command: ["sh"], ...outputs } };
}

describe("Exec, Attach and PortForward", () => {
  it("are UNAVAILABLE without a streaming server, and answer its URLs with one", async () => {
    const { world, containerId } = await running();
    await using _world = world;
    const request = { containerId, cmd: ["ls"], stdout: true };
    await assert.rejects(world.call("Exec", request), { code: "UNAVAILABLE" });
    const asked: unknown[] = [];
    const answer = async (target: unknown): Promise<string> => {
      asked.push(target);
      return "http://here/token";
    };
    world.runtime.streamThrough({
      exec: answer,
      attach: answer,
      portForward: answer,
    } as unknown as StreamingServer);
    assert.deepEqual(await world.call("Exec", request), { url: "http://here/token" });
    const short = containerId.slice(0, 8);
    await world.call("Attach", { containerId: short, stdin: true, tty: true });
    assert.deepEqual(asked, [
      { ...outputs, containerId, command: ["ls"], stderr: false },
      { containerId, stdin: true, stdout: false, stderr: false, tty: true },
    ]);
  });

  it("need a container that runs, and a pod that is ready", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.createContainer(podSandboxId);
    for (const verb of ["Exec", "Attach"] as const) {
      await assert.rejects(world.call(verb, { containerId, cmd: ["ls"], stdout: true }), {
        code: "FAILED_PRECONDITION",
        message: /state is created, not running$/,
      });
      await assert.rejects(world.call(verb, { containerId: "none" }), { code: "NOT_FOUND" });
    }
    await world.call("StopPodSandbox", { podSandboxId });
    await assert.rejects(world.call("PortForward", { podSandboxId }), {
      code: "FAILED_PRECONDITION",
      message: /is not ready/,
    });
  });
});

describe("an exec session", () => {
  it("makes FIFOs at once, the process at start, and tells its exit code", async () => {
    const { world, target } = await running();
    await using _world = world;
    const task = world.client.taskOf("container");
    const session = await world.runtime.sessions.exec({ ...target, stdin: true }, call);
    for (const fifo of Object.values({ ...session.fifos })) assert.ok(existsSync(fifo), fifo);
    assert.equal(task.execs.length, 0);
    await session.start(call);
    assert.deepEqual(world.runtime.sessions.open(), new Map([["exec", 1]]));
    task.execs[0]?.process.end(3);
    assert.deepEqual(await session.ended, { kind: "exited", exitCode: 3 });
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    assert.deepEqual(world.runtime.sessions.open(), new Map([["exec", 0]]));
    assert.equal(existsSync(session.fifos.stdout), false);
    assert.deepEqual(
      world.steps.done.filter((step) => /^(kill|delete) exec/.test(step)),
      ["delete exec"],
    );
  });

  it("of a terminal has one output, and TERM", async () => {
    const { world, target } = await running();
    await using _world = world;
    const wanted = { ...target, stderr: false, tty: true };
    await using session = await world.runtime.sessions.exec(wanted, call);
    assert.deepEqual([session.fifos.stdin, session.fifos.stderr], ["", ""]);
    await session.start(call, { width: 77, height: 33 });
    const [exec] = world.client.taskOf("container").execs;
    assert.deepEqual(exec?.spec, {
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: ["A=b", "TERM=xterm"],
      cwd: "/",
      terminal: true,
      consoleSize: { width: 77, height: 33 },
    });
    // For OCI runtimes that pass over consoleSize.
    assert.deepEqual(exec.process.sizes, [{ width: 77, height: 33 }]);
  });

  it("kills its process when its client has gone", async () => {
    const { world, target } = await running();
    await using _world = world;
    const session = await world.runtime.sessions.exec(target, call);
    await session.start(call);
    await session[Symbol.asyncDispose]();
    assert.deepEqual(world.client.taskOf("container").execs[0]?.process.signals, [9]);
  });

  it("says in few words that there is no such command, and leaves nothing", async () => {
    const rows = [
      ['exec: "sh": executable file not found in $PATH', "executable file not found in $PATH"],
      [
        "executable file `sh` not found in $PATH: No such file or directory",
        "executable file not found in $PATH",
      ],
      ["exec: No such file or directory", "no such file or directory"],
      ["open executable: Permission denied", "permission denied"],
      ["exec: Exec format error", "exec format error"],
    ] as const;
    for (const [said, told] of rows) {
      const { world, target } = await running();
      await using _world = world;
      world.steps.failing.set("start exec", fault("UNKNOWN", `OCI runtime exec failed: ${said}`));
      const session = await world.runtime.sessions.exec(target, call);
      await assert.rejects(session.start(call), { message: `cannot exec "sh": ${told}` });
      await session[Symbol.asyncDispose]();
      assert.ok(world.steps.done.includes("delete exec"));
    }
  });

  it("is told when the daemon stops, and no other begins", async () => {
    const { world, target } = await running();
    await using _world = world;
    const session = await world.runtime.sessions.exec(target, call);
    await session.start(call);
    const cut = world.runtime.sessions.cutOff();
    assert.deepEqual(await session.ended, {
      kind: "failed",
      message: "berthd is stopping: the session was cut off",
    });
    await session[Symbol.asyncDispose]();
    await cut;
    await assert.rejects(world.runtime.sessions.exec(target, call), { code: "UNAVAILABLE" });
  });

  it("that a dead daemon left is ended at recovery", async () => {
    const { world, containerId, target } = await running();
    await using _world = world;
    const session = await world.runtime.sessions.exec(target, call);
    await session.start(call);
    const [exec] = world.client.taskOf("container").execs;
    const folder = path.join(world.folder, "state/fifo/of another");
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, `${containerId}-0123456789-stdout`), "");
    await world.restart();
    assert.deepEqual(exec?.process.signals, [9]);
  });
});

describe("an attach session", () => {
  const ends = [
    ["end", { kind: "exited", exitCode: 0 }],
    ["slow", { kind: "failed", message: /reads too slowly/ }],
    ["lost", { kind: "failed", message: /attach again/ }],
  ] as const;
  for (const [why, expected] of ends) {
    it(`ends with its tap: ${why}`, async () => {
      const { world, containerId } = await running();
      await using _world = world;
      await using session = await world.runtime.sessions.attach({ containerId, ...outputs }, call);
      await session.start(call);
      world.tapsEnd.resolve(why);
      const end = await session.ended;
      assert.equal(end.kind, expected.kind);
      if (end.kind === "failed" && "message" in expected)
        assert.match(end.message, expected.message);
    });
  }

  it("ends when the container does, and leaves it alone otherwise", async () => {
    const { world, containerId } = await running();
    await using _world = world;
    const task = world.client.taskOf("container");
    const leaving = await world.runtime.sessions.attach({ containerId, ...outputs }, call);
    await leaving.start(call);
    await leaving[Symbol.asyncDispose]();
    assert.deepEqual(task.init.signals, []);
    await using session = await world.runtime.sessions.attach({ containerId, ...outputs }, call);
    await session.start(call);
    world.tapsEnd.resolve("end");
    task.init.end(7);
    assert.deepEqual(await session.ended, { kind: "exited", exitCode: 0 });
  });
});
