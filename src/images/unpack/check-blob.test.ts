// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import { digestOf } from "../../content/digest.ts";
import { checkBlob } from "./check-blob.ts";

const call = { signal: new AbortController().signal };
const digest = digestOf("blob");
const there = { inode: 1n, changedAtNanos: 1n };
const content = (file: typeof there | undefined) => ({
  fileNow: () => file,
  pathOf: () => "/blob",
});

test("a blob is what its bytes say", async () => {
  assert.equal(await checkBlob(content(there), digest, async () => digest, call), undefined);
  const other = digestOf("other");
  assert.deepEqual(await checkBlob(content(there), digest, async () => other, call), {
    seen: there,
    problem: `its bytes have the digest ${other}`,
  });
});

test("a blob that the disk cannot read is damaged", async () => {
  const failures = [Object.assign(new Error("bad"), { code: "EIO" }), fault("UNKNOWN", "EIO: i/o")];
  for (const failure of failures) {
    const found = await checkBlob(content(there), digest, () => Promise.reject(failure), call);
    assert.deepEqual(found, { seen: there, problem: "it cannot be read: EIO" });
  }
});

test("a blob whose reader cannot be started is not", async () => {
  const failures = [
    fault("NOT_FOUND", "cannot run /usr/bin/node: ENOENT"),
    Object.assign(new Error("ENOENT: no such file"), { code: "ENOENT" }),
    fault("RESOURCE_EXHAUSTED", "no memory"),
  ];
  for (const failure of failures) {
    const checked = checkBlob(content(there), digest, () => Promise.reject(failure), call);
    await assert.rejects(checked, failure);
  }
});

test("a blob whose file is gone is damaged, whatever its reader said", async () => {
  const gone = { seen: undefined, problem: "its file is gone" };
  assert.deepEqual(await checkBlob(content(undefined), digest, async () => digest, call), gone);
});
