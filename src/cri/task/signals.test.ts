// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { rootOf } from "../../../test/support/whole-roots.ts";
import type { Signal } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";
import { criSignalName, criSignalNumber, signalNumber, stopSignal } from "./signals.ts";

describe("signalNumber", () => {
  const cases: readonly [text: string, number: number | undefined][] = [
    ["SIGTERM", 15],
    ["term", 15],
    ["9", 9],
    [" SIGHUP ", 1],
    ["SIGIOT", 6],
    ["SIGCLD", 17],
    ["SIGRTMIN", 34],
    ["SIGRTMIN+3", 37],
    ["RTMAX-1", 63],
    ["SIGRTMAX", 64],
    ["SIGRTMIN+31", undefined],
    ["0", undefined],
    ["65", undefined],
    ["", undefined],
    ["SIGNOPE", undefined],
    ["constructor", undefined],
  ];
  for (const [text, number] of cases) {
    it(`reads "${text}" as ${number}`, () => assert.equal(signalNumber(text), number));
  }
});

describe("CRI signals", () => {
  it("all lead to a number of the kernel, and back to a name of that number", () => {
    const { values } = rootOf("runtime.v1.VersionRequest").lookupEnum("runtime.v1.Signal");
    for (const name of Object.keys(values) as Signal[]) {
      if (name === "SIGNAL_RUNTIME_DEFAULT") continue;
      const number = criSignalNumber(name);
      assert.ok(number !== undefined && number >= 1 && number <= 64, name);
      const back = criSignalName(String(number));
      assert.equal(criSignalNumber(back), number, `${name} → ${number} → ${back}`);
      codec("runtime.v1.ContainerStatus").encode({ stopSignal: back });
    }
  });
});

describe("stopSignal", () => {
  it("prefers the request's, then the image's, then SIGTERM", () => {
    assert.equal(stopSignal("SIGNAL_SIGINT", "SIGQUIT"), 2);
    assert.equal(stopSignal("SIGNAL_RUNTIME_DEFAULT", "SIGQUIT"), 3);
    assert.equal(stopSignal("SIGNAL_RUNTIME_DEFAULT", "3"), 3);
    assert.equal(stopSignal("SIGNAL_RUNTIME_DEFAULT", ""), 15);
    assert.equal(stopSignal("SIGNAL_RUNTIME_DEFAULT", "nonsense"), 15);
  });
});
