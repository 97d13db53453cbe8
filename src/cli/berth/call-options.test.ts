// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Command } from "commander";
import { unlessAborted } from "../../base/waits.ts";
import type { CliIo } from "../cli-io.ts";
import { withCommonFlags, withNamespaceFlag, withSession } from "./call-options.ts";

test("a command that works in one namespace names itself as it was called", async () => {
  const io = { env: {}, out: () => {}, error: () => {} } as unknown as CliIo;
  const root = withNamespaceFlag(new Command("berth"));
  const command = new Command("migrate");
  root.addCommand(command);
  root.setOptionValue("namespace", "default");
  await assert.rejects(
    withSession(command, io, undefined, () => Promise.resolve()),
    {
      message: '"berth migrate" works in namespace "k8s.io" alone, and --namespace names "default"',
    },
  );
});

test("a daemon that says nothing is not waited for, even by a command without a limit", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const io = { env: {}, out: () => {}, error: () => {} } as unknown as CliIo;
  const command = withCommonFlags(new Command("exec"));
  const working = withSession(command, io, undefined, async (session) => {
    await session.promptly(({ signal }) => unlessAborted(new Promise(() => {}), signal));
  });
  mock.timers.tick(60_000);
  await assert.rejects(working, {
    code: "DEADLINE_EXCEEDED",
    message: "the daemon's answer took longer than 60 s",
  });
});
