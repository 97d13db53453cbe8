// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Host } from "../host.ts";
import { stuckFindings } from "./stuck.ts";

interface Look {
  readonly state?: string;
  readonly started?: number;
  /** Voluntary and other ones. */
  readonly switches?: readonly [number, number] | undefined;
  readonly where?: string;
}

/** A node with one process of a container, of which each look at its state sees the next one. */
class OneProcess extends Host {
  readonly #looks: Look[];
  #now: Look | undefined;

  constructor(looks: readonly Look[]) {
    super("/nowhere");
    this.#looks = [...looks];
  }

  override async names(): Promise<readonly string[]> {
    return ["7", "self"];
  }

  override async value(file: string): Promise<string | undefined> {
    const name = file.replace("/proc/7/", "");
    if (name === "stat") this.#now = this.#looks.shift() ?? this.#now;
    const {
      state = "D",
      started = 1,
      switches = [5, 1],
      where = "folio_wait_bit",
    } = this.#now ?? {};
    const [voluntary, other] = switches;
    const files: Readonly<Record<string, string>> = {
      stat: `7 (a) b) ${state} 1 ${"0 ".repeat(17)}${started} 0`,
      status: `Name:\ta\nvoluntary_ctxt_switches:\t${voluntary}\nnonvoluntary_ctxt_switches:\t${other}`,
      wchan: where,
      comm: "a",
      cgroup: `0::/kubepods/pod1/${"a".repeat(64)}`,
    };
    return files[name];
  }
}

test("a process hangs that waits at each look, and was not at work between them", async () => {
  const still: Look = {};
  for (const [looks, hangs] of [
    [[still, still, still], true],
    [[{ where: "0" }, { where: "0" }, { where: "0" }], true],
    [[still, { switches: [6, 1] }, { switches: [7, 1] }], false],
    [[still, still, { switches: [6, 1] }], false],
    [[still, still, { switches: [5, 2] }], false],
    [[still, still, { where: "io_schedule" }], false],
    [[still, { state: "S" }, still], false],
    [[still, still, { state: "R" }], false],
    [[still, { started: 2 }, { started: 2 }], false],
    [[{ where: "__refrigerator" }], false],
  ] as const) {
    const call = { signal: new AbortController().signal };
    const [found, ...others] = await stuckFindings(new OneProcess(looks), call, [0, 0]);
    assert.equal(found?.level, hangs ? "warning" : "ok", JSON.stringify(looks));
    assert.equal(others.length, 0);
    if (hangs) assert.match(found?.why ?? "", /SIGKILL may end/);
  }
});
