// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { removeFolderSync } from "../base/remove-folder.ts";
import { applyEdit, changedText, type Edit, flagIn } from "./edit.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth-edit-"));
after(() => removeFolderSync(folder));

const ours = "unix:///run/berthd/berthd.sock";

function edit(kind: Edit["kind"], more: Partial<Edit> = {}): Edit {
  const name = kind === "key" ? "containerRuntimeEndpoint" : "container-runtime-endpoint";
  return { file: "/f", kind, name, before: undefined, after: ours, ...more };
}

test("a key is set among comments and other keys, and taken out again", () => {
  const text = "# mine\napiVersion: v1\nfeatureGates:\n  A: true # why\n";
  const set = changedText(edit("key"), text, ours);
  assert.equal(set, `${text}containerRuntimeEndpoint: ${ours}\n`);
  assert.equal(changedText(edit("key"), set, undefined), text);
});

test("a key that is there keeps its place, and one below another table is another", () => {
  const text = `containerRuntimeEndpoint: "unix:///run/a.sock" # old\nother:\n  containerRuntimeEndpoint: x\n`;
  const set = changedText(edit("key"), text, ours);
  assert.equal(set, `containerRuntimeEndpoint: ${ours}\nother:\n  containerRuntimeEndpoint: x\n`);
});

test("a file without its last line's end, an empty one and none get the key", () => {
  assert.equal(changedText(edit("key"), "a: 1", ours), `a: 1\ncontainerRuntimeEndpoint: ${ours}\n`);
  for (const text of ["", undefined]) {
    assert.equal(changedText(edit("key"), text, ours), `containerRuntimeEndpoint: ${ours}\n`);
  }
});

test("JSON stays JSON", () => {
  const set = changedText(edit("key"), '{"kind":"K","containerRuntimeEndpoint":"a"}', ours) ?? "";
  assert.deepEqual(JSON.parse(set), { kind: "K", containerRuntimeEndpoint: ours });
});

test("what cannot be set without changing something else is refused", () => {
  const refused = [
    ["an end of the document", "a: 1\n...\n"],
    ["a value over lines", "containerRuntimeEndpoint: >-\n  unix:///run/a.sock\n"],
    ["a list", "- a\n"],
    ["no YAML", "a: [\n"],
  ] as const;
  for (const [what, text] of refused) {
    assert.throws(() => changedText(edit("key"), text, ours), /\/f/, what);
  }
});

test("a flag is set wherever its words stand, and not in a comment", () => {
  const cases = [
    ['KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///a.sock --pod-infra=x"\n', true],
    ["ExecStart=/k3s agent \\\n\t--container-runtime-endpoint \\\n", false],
    ["ExecStart=/k3s agent '--container-runtime-endpoint' '/a.sock'\n", true],
    ["ExecStart=/k3s \\\n\t'--container-runtime-endpoint' \\\n\t'/a.sock' \\\n", true],
    ["A=--container-runtime-endpoint /a.sock\n", true],
    ["# --container-runtime-endpoint=/a.sock\n", false],
  ] as const;
  for (const [text, isSet] of cases) {
    const change = (): string | undefined => changedText(edit("flag"), text, ours);
    if (!isSet) {
      assert.throws(change, /\/f has no --container-runtime-endpoint/, text);
      continue;
    }
    const old = /[^\s'"]*\/a\.sock/.exec(text)?.[0].replace(/.*=/, "") ?? "";
    assert.equal(change(), text.replace(old, ours));
    assert.equal(changedText(edit("flag"), change(), old), text);
  }
});

test("a flag that stands twice is set in both places, and the last one is what it was", () => {
  const text = "A=--container-runtime-endpoint=/a --container-runtime-endpoint=/b\n";
  assert.equal(flagIn(text, "container-runtime-endpoint"), "/b");
  assert.equal(changedText(edit("flag"), text, "/c"), text.replace(/\/[ab]/g, "/c"));
});

test("a file is replaced with the mode that it had, and a new one is for root", async () => {
  const file = path.join(folder, "config.yaml");
  writeFileSync(file, "token: secret\n");
  chmodSync(file, 0o640);
  const one = edit("key", { file });
  await applyEdit(one, "after");
  await applyEdit(one, "after");
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.equal(readFileSync(file, "utf8"), `token: secret\ncontainerRuntimeEndpoint: ${ours}\n`);
  await applyEdit(one, "before");
  assert.equal(readFileSync(file, "utf8"), "token: secret\n");
  symlinkSync(file, path.join(folder, "inner"));
  symlinkSync("inner", path.join(folder, "outer"));
  await applyEdit(edit("key", { file: path.join(folder, "outer") }), "after");
  assert.ok(lstatSync(path.join(folder, "inner")).isSymbolicLink());
  assert.match(readFileSync(file, "utf8"), /containerRuntimeEndpoint/);

  const fresh = path.join(folder, "k0sworker.service.d", "berth.conf");
  const whole = edit("file", { file: fresh, name: "", after: "[Service]\n" });
  await applyEdit(whole, "after");
  assert.equal(readFileSync(fresh, "utf8"), "[Service]\n");
  await applyEdit(whole, "before");
  await applyEdit(whole, "before");
  assert.equal(statSync(fresh, { throwIfNoEntry: false }), undefined);
});
