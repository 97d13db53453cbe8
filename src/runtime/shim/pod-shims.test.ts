// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { scratch } from "../../../test/support/scratch.ts";
import { silentLogger } from "../../base/logger.ts";
import { Bundle } from "../bundle/bundle.ts";
import type { ShimBinary } from "./binary.ts";
import { PodShims } from "./pod-shims.ts";
import type { Shim } from "./shim.ts";

const start = { binary: { path: "/shim" } as ShimBinary, options: null, launch: "direct" } as const;

test("a daemon that stops waits for shims on their way, and starts none any more", async () => {
  await using home = await scratch();
  const begun: string[] = [];
  const onItsWay = Promise.withResolvers<Shim>();
  const pods = new PodShims({
    log: silentLogger,
    launch: ({ id }) => {
      begun.push(id);
      return onItsWay.promise;
    },
    release: async () => {},
  });
  const bundleOf = (id: string): Bundle =>
    new Bundle({ bundles: home.path, work: home.path, namespace: "k8s.io", id });
  const ids = ["a", "b", "c", "d", "e", "f"];
  for (const id of ids) pods.startAhead(bundleOf(id), start);
  await nextTurn();
  const before = [...begun];
  assert.ok(before.length > 0 && before.length < ids.length, `${before.length} at once`);
  let isLetGo = false;
  const lettingGo = pods[Symbol.asyncDispose]().then(() => {
    isLetGo = true;
  });
  await nextTurn();
  assert.equal(isLetGo, false);
  onItsWay.resolve({} as Shim);
  await lettingGo;
  await nextTurn();
  assert.deepEqual(begun, before);
});
