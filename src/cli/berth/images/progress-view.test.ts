// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../../../test/support/until.ts";
import type { BerthTransferStep } from "../../../gen/berth.gen.ts";
import type { CliIo } from "../../cli-io.ts";
import type { Terminal } from "../../terminal.ts";
import { openProgress, type ProgressFlags } from "./progress-view.ts";

interface Screen {
  readonly io: CliIo;
  /** Each piece that was written. */
  readonly written: string[];
  width: number;
}

function screen(env: CliIo["env"] = {}, isTerminal = true): Screen {
  const written: string[] = [];
  const made: Screen = {
    written,
    width: 80,
    io: {
      out: () => {},
      error: (text) => void written.push(text),
      env,
      terminal: () =>
        ({
          screen: () => (isTerminal ? { width: made.width, height: 24 } : undefined),
        }) as Terminal,
    },
  };
  return made;
}

const step = (at: number, state: string, doneBytes = 0): BerthTransferStep => ({
  digest: `sha256:${String(at).repeat(64)}`,
  kind: "layer",
  state,
  doneBytes: BigInt(doneBytes),
  totalBytes: 100n,
});
const auto: ProgressFlags = { progress: "auto" };

test("bars are drawn over those before, also on a terminal that has become narrower", async () => {
  const made = screen();
  const { io, written } = made;
  const view = openProgress(auto, io);
  view.update([step(1, "downloading", 50), step(2, "waiting")]);
  await until("bars are drawn", () => written.length > 0);
  assert.ok((written[0] ?? "").startsWith("\r\u001b[J1111111111111 layer"));
  await until("bars are drawn again", () => written.length > 1);
  assert.ok(written.at(-1)?.startsWith("\u001b[3A\r\u001b[J"));
  made.width = 20;
  written.length = 0;
  await until("bars are drawn once more", () => written.length > 0);
  const [up = ""] = (written[0] ?? "").slice(2).split("A");
  assert.ok(Number(up) > 3, up);
  view[Symbol.dispose]();
});

test("a terminal whose size nobody has set is drawn on as one of 80 columns", async () => {
  const made = screen();
  made.width = 0;
  const view = openProgress(auto, made.io);
  view.update([step(1, "downloading", 50)]);
  await until("bars are drawn twice", () => made.written.length > 1);
  view[Symbol.dispose]();
  assert.ok(made.written[1]?.startsWith("\u001b[2A\r"), JSON.stringify(made.written[1]));
});

test("nothing is drawn before there is something to show", () => {
  const { io, written } = screen();
  openProgress(auto, io)[Symbol.dispose]();
  assert.deepEqual(written, []);
});

for (const [what, env, isColored] of [
  ["colours", {}, true],
  ["no colours with NO_COLOR", { NO_COLOR: "1" }, false],
] as const) {
  test(`a terminal shows ${what}`, () => {
    const { io, written } = screen(env);
    const view = openProgress(auto, io);
    view.update([step(1, "done", 100)]);
    view[Symbol.dispose]();
    assert.equal(written.join("").includes("\u001b[32m"), isColored);
  });
}

for (const [what, made, flags] of [
  ["no terminal", screen({}, false), auto],
  ["a terminal that can nothing", screen({ TERM: "dumb" }), auto],
  ["whoever wants it", screen(), { progress: "json" }],
] as const) {
  test(`${what} gets lines of JSON, one for each state`, () => {
    const view = openProgress(flags, made.io);
    view.update([step(1, "downloading", 1), step(2, "waiting")]);
    for (let done = 2; done < 100; done += 1) view.update([step(1, "downloading", done)]);
    view.update([step(1, "done", 100)]);
    view[Symbol.dispose]();
    const lines = made.written.map((line) => JSON.parse(line) as { state: string });
    assert.deepEqual(
      lines.map(({ state }) => state),
      ["downloading", "waiting", "done"],
    );
  });
}
