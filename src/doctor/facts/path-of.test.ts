// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubeletFacts, pathOf } from "./kubelet.ts";

const kubelet: KubeletFacts = {
  pid: undefined,
  minor: undefined,
  flags: [],
  settings: {},
  file: "/var/lib/kubelet/config.yaml",
  problems: [],
  flagFiles: [],
  command: "",
  lastWords: "",
};

test("a relative file is looked for in the folder of the kubelet's configuration", () => {
  for (const [facts, value, file] of [
    [{}, "/etc/a.crt", "/etc/a.crt"],
    [{}, "pki/a.crt", "/var/lib/kubelet/pki/a.crt"],
    [{}, "../a.crt", "/var/lib/a.crt"],
    [{}, "", undefined],
    [{}, undefined, undefined],
    [{ file: undefined }, "pki/a.crt", undefined],
    [{ flags: ["--config-dir=/etc/k.d"] }, "pki/a.crt", undefined],
    [{ flags: ["--tls-cert-file=pki/b.crt"] }, "/etc/a.crt", undefined],
    [{ flags: ["--tls-cert-file", "/etc/b.crt"] }, "/etc/a.crt", "/etc/b.crt"],
  ] as const)
    assert.equal(pathOf({ ...kubelet, ...facts }, "tls-cert-file", value), file);
});
