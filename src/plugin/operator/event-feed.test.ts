// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import { type Logger, silentLogger } from "../../base/logger.ts";
import { Exchange } from "../../events/exchange.ts";
import { packAny } from "../../rpc/codec.ts";
import type { ObservedEvent } from "./api.ts";
import { feedEvents } from "./event-feed.ts";
import type { PluginHost } from "./plugin-host.ts";

const slow = fault("DEADLINE_EXCEEDED", "onEvent took too long");
const broken = fault("UNKNOWN", "onEvent has thrown");

/** Feeds one event after the other to a plugin that answers as told; what was counted and logged of each. */
async function fed(answers: readonly (Error | undefined)[]) {
  const exchange = new Exchange();
  const end = new AbortController();
  const seen: ObservedEvent[] = [];
  const told: string[] = [];
  const call = async (_hook: string, event: unknown): Promise<void> => {
    const answer = answers[seen.length];
    seen.push(event as ObservedEvent);
    if (answer) throw answer;
  };
  const log: Logger = {
    ...silentLogger,
    warn: ({ topic, reason }, message) =>
      told.push(`${String(topic)} ${message}: ${String(reason)}`),
  };
  const onCall = (result: string): void => {
    told.push(result);
  };
  const host = { call } as unknown as PluginHost;
  const feeding = feedEvents({ exchange, host, log, onCall }, end);
  for (const [at] of answers.entries()) {
    exchange.publish("k8s.io", `/tasks/${at}`, packAny("containerd.events.TaskExit", { pid: at }));
  }
  while (told.filter((one) => !one.includes(" ")).length < answers.length) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  end.abort();
  await feeding;
  return { seen, told };
}

const failed = (at: number, { message }: Error): string =>
  `/tasks/${at} onEvent has failed: ${message}`;

for (const { what, answers, tells } of [
  { what: "takes them", answers: [undefined, undefined], tells: ["ok", "ok"] },
  {
    what: "fails again and again is told of once",
    answers: [broken, slow, broken],
    tells: ["error", failed(0, broken), "timeout", "error"],
  },
  {
    what: "fails, works and fails is told of twice",
    answers: [slow, undefined, broken],
    tells: ["timeout", failed(0, slow), "ok", "error", failed(2, broken)],
  },
]) {
  test(`events for a plugin that ${what}`, async () => {
    const { seen, told } = await fed(answers);
    assert.deepEqual(told, tells);
    assert.deepEqual(
      seen.map(({ topic, type, namespace }) => [topic, type, namespace]),
      answers.map((_, at) => [`/tasks/${at}`, "containerd.events.TaskExit", "k8s.io"]),
    );
    assert.deepEqual(
      seen.map(({ event }) => event?.["pid"] ?? 0),
      answers.map((_, at) => at),
    );
  });
}

test("events end without an error in the middle of a call, which is not counted", async () => {
  const exchange = new Exchange();
  const end = new AbortController();
  const told: string[] = [];
  const host = {
    call: async (): Promise<void> => {
      end.abort();
      throw broken;
    },
  } as unknown as PluginHost;
  const onCall = (result: string): void => {
    told.push(result);
  };
  const feeding = feedEvents({ exchange, host, log: silentLogger, onCall }, end);
  exchange.publish("k8s.io", "/tasks/exit", packAny("containerd.events.TaskExit", {}));
  await feeding;
  assert.deepEqual(told, []);
});
