// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { leftovers } from "./machine-state.ts";
import {
  isOwnCgroup,
  isOwnLink,
  isOwnNetns,
  isOwnProcess,
  isOwnRule,
  isOwnTemporary,
  ownPath,
} from "./own-names.ts";

const argv = (line: string): string[] => line.split("|");

const tables = {
  temporary: {
    is: isOwnTemporary,
    own: [
      "be a1b2c3Xyz123",
      "ct-a1b2c3Xyz123",
      "vm-images 0a0a0aABCDEF",
      "berth rpc-x1",
      "berth-quickstart-Ab12",
    ],
    others: [
      "node-compile-cache",
      "systemd-private-0123456789abcdef-x",
      "go-build61904467",
      "berthold",
    ],
  },
  paths: {
    is: (line: string) => ownPath.test(line),
    own: [
      "/tmp/be a1b2c3Xyz123/run/netns",
      "/tmp/berth-quickstart-Ab/run",
      "/work/scratch/x/be a1b2c3Xyz123/y",
    ],
    others: ["/", "/tmp", "/var/lib/docker/overlay2/abc/merged", "/run/user/0"],
  },
  processes: {
    is: (line: string) => isOwnProcess(argv(line)),
    own: [
      "/pause",
      "berth-fifo-holder|/x",
      "/x/node|/work/main/src/cli/berthd.ts|serve",
      "/usr/bin/containerd-shim-runc-v2|-namespace|k8s.io|-address|/tmp/be a1b2c3Xyz123/s.sock",
      "containerd|--config|/tmp/ct-a1b2c3Xyz123/config.toml",
    ],
    others: [
      "/usr/bin/containerd-shim-runc-v2|-namespace|moby|-address|/run/containerd/containerd.sock",
      "/usr/bin/dockerd",
      "vi|/work/main/README.md",
    ],
  },
  cgroups: {
    is: isOwnCgroup,
    own: [
      "/k8s.io",
      "/k8s.io/abc",
      "/kubepods",
      "/kubepods.slice/x",
      "/berth-test-1/x",
      "/system.slice/berthd.service",
    ],
    others: ["/", "/system.slice", "/docker/0a0a", "/user.slice/user-0.slice"],
  },
  links: {
    is: isOwnLink,
    own: ["berthqs0", "bt0a1b2c", "veth0a1b2c3d", "bwp0123abcd"],
    others: ["lo", "eth0", "docker0", "veth0a1b2c3", "ifb0", "cni0"],
  },
  namespaces: {
    is: isOwnNetns,
    own: ["cni-1234", "berth-x"],
    others: ["blue", "vpn"],
  },
  rules: {
    is: isOwnRule,
    own: [
      `-A POSTROUTING -s 10.1.1.2/32 -m comment --comment "name: \\"berth-test-a1b2c3\\" id: \\"x\\"" -j CNI-1`,
    ],
    others: [
      ":CNI-HOSTPORT-DNAT - [0:0]",
      "-A INPUT -j ACCEPT",
      `-A FORWARD -m comment --comment "berth" -j DROP`,
    ],
  },
};

for (const [kind, { is, own, others }] of Object.entries(tables)) {
  test(`our own ${kind} are told from others`, () => {
    assert.deepEqual(
      own.filter((name) => !is(name)),
      [],
    );
    assert.deepEqual(
      others.filter((name) => is(name)),
      [],
    );
  });
}

test("what is there and was not before is left behind, whosever it is", () => {
  const state = (own: string[], others: string[]) => ({
    own: new Set(own),
    others: new Set(others),
  });
  const before = state(["cgroup /k8s.io"], ["link lo", "link gone"]);
  const now = state(["cgroup /k8s.io", "link berthqs0"], ["link lo", "link eth9"]);
  assert.deepEqual(leftovers(before, now), [
    "left behind: link berthqs0",
    "left behind: link eth9",
  ]);
  assert.deepEqual(leftovers(before, state([], ["link lo"])), []);
});
