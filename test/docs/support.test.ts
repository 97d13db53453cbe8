// SPDX-License-Identifier: Apache-2.0
// docs/support.md names what the tests have.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { root } from "./pages.ts";

const rows = readFileSync(path.join(root, "docs/support.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| what "))
  .map((line) => {
    const [, what = "", version = "", , by = ""] = line.split("|").map((cell) => cell.trim());
    return { what, version, files: [...by.matchAll(/`([^`]+)`/g)].map(([, file = ""]) => file) };
  });

/** The version of a module that the Go tools are built from, without its "v". */
function moduleVersion(folder: string, module: string): string {
  const text = readFileSync(path.join(root, "test/e2e/tools", folder, "go.mod"), "utf8");
  const [, version = ""] = RegExp(`${RegExp.escape(module)} v(\\S+)`).exec(text) ?? [];
  assert.notEqual(version, "", `${module} in ${folder}`);
  return version;
}

suite("what Berth is tried with", () => {
  test("every row is run by tests that are there", () => {
    assert.ok(rows.length > 10);
    for (const { what, files } of rows) {
      assert.ok(files.length > 0, what);
      assert.deepEqual(
        files.filter((file) => !existsSync(path.join(root, file))),
        [],
        what,
      );
    }
  });

  const pinned: readonly (readonly [string, ...(readonly [string, string])[]])[] = [
    ["Kubernetes", ["kubelet", "k8s.io/kubernetes"], ["control-plane", "k8s.io/kubernetes"]],
    ["Kubernetes: a cluster", ["control-plane", "k8s.io/kubernetes"]],
    ["CoreDNS", ["control-plane", "github.com/coredns/coredns"]],
    ["metrics-server", ["metrics-server", "sigs.k8s.io/metrics-server"]],
    ["crictl", [".", "sigs.k8s.io/cri-tools"]],
    ["critest", [".", "sigs.k8s.io/cri-tools"]],
    [
      "containerd's shim",
      ["shim-1.7", "github.com/containerd/containerd"],
      ["shim-2.1", "github.com/containerd/containerd/v2"],
      ["shim-2.3", "github.com/containerd/containerd/v2"],
      ["shim-2.4", "github.com/containerd/containerd/v2"],
    ],
    ["containerd's Go client", ["goclient", "github.com/containerd/containerd/v2"]],
    ["NRI", ["nri", "github.com/containerd/nri"]],
  ];
  for (const [start, ...modules] of pinned) {
    test(`${start}: the versions are those that the tools are built from`, () => {
      const row = rows.find(({ what }) => what.startsWith(start));
      const named: readonly string[] = row?.version.match(/\d+(\.\d+)+/g) ?? [];
      for (const [folder, module] of modules) {
        const version = moduleVersion(folder, module);
        assert.ok(named.includes(version), `${version} of ${folder}, not in "${row?.version}"`);
      }
    });
  }
});
