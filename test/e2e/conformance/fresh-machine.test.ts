// SPDX-License-Identifier: Apache-2.0
// scripts/fresh-machine notices what a command leaves, changes and takes away, and is unlike the developer's machine.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { lacking } from "../../support/lacking.ts";
import { type RunResult, run } from "../../support/run.ts";

const program = path.resolve(import.meta.dirname, "../../../scripts/fresh-machine");
const skip = lacking("apt-get", "ip", "iptables");
/** With a Debian that is yet to be made. */
const limits = { timeoutMs: 900_000 };

const onMachine = (script: string): Promise<RunResult> =>
  run(program, ["--script", script], limits);

/** A command, and what is told of it. */
const deeds: readonly [command: string, told: string][] = [
  ["echo x >/etc/left", "left behind: file /etc/left"],
  ["mkdir -p /var/tmp/a/b; echo x >/var/tmp/a/b/c", "left behind: file /var/tmp/a/b/c"],
  ["echo x >/dev/shm/left", "left behind: file /dev/shm/left"],
  ["echo x >/dev/berth-left", "left behind: file /dev/berth-left"],
  ["mkdir -p /run/netns; echo x >/run/netns/left", "left behind: file /run/netns/left"],
  [
    "mkdir -p /run/containerd/s; echo x >/run/containerd/s/0",
    "left behind: file /run/containerd/s/0",
  ],
  ["mkdir /root/.cache", "left behind: folder /root/.cache"],
  ['echo x >"$HOME/left"', "left behind: file /home/new user/left"],
  ["echo x >left", "left behind: file /home/new user/berth checkout/left"],
  ["ln -s /left /usr/local/bin/left", "left behind: file /usr/local/bin/left"],
  ["echo x >>README.md", "changed: file /home/new user/berth checkout/README.md"],
  ["echo '1.2.3.4 left' >>/etc/hosts", "changed: file /etc/hosts"],
  ["echo x >>/bin/ls", "changed: file /usr/bin/ls"],
  ["chmod 777 /etc", "changed: folder /etc"],
  ["rm /etc/timezone", "gone: file /etc/timezone"],
  ["mount -t tmpfs left /mnt", "left behind: mount /mnt"],
  ["sleep 1000 &", "left behind: process N: sleep 1000 "],
  ["ipcmk -M 4096", "left behind: System V shm N"],
  [
    "truncate -s 1M /var/tmp/berth-image; losetup -f /var/tmp/berth-image",
    "left behind: loop device N of /var/tmp/berth-image",
  ],
  [
    "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet",
    "changed: setting /proc/sys/net/ipv4/conf/all/route_localnet",
  ],
  [
    "mkdir $(find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d -name 'mem*' -o -name init | head -n 1)/left",
    "left behind: cgroup …/left",
  ],
];

test("what a command leaves, changes and takes away is told", { skip }, async () => {
  const { code, stderr } = await onMachine(`${deeds.map(([command]) => command).join("\n")}\ntrue`);
  const told = stderr
    .split("\n")
    .filter((line) => line.startsWith("fresh-machine: "))
    .map((line) =>
      line
        .slice("fresh-machine: ".length)
        .replace(/(process|shm|device) (loop)?\d+/, "$1 N")
        .replace(/cgroup \S*\/left$/, "cgroup …/left"),
    );
  for (const [command, line] of deeds)
    assert.ok(told.includes(line), `${command}: ${line}\n${stderr}`);
  assert.equal(code, 99);
});

test("nothing is told of a command that leaves nothing, and its exit status is passed on", {
  skip,
}, async () => {
  const { code, stdout, stderr } = await onMachine(
    'echo x >/tmp/x; rm /tmp/x; date +%Z; umask; echo "$HOME"; env | cut -d = -f 1 | sort | xargs; tty; exit 7',
  );
  assert.equal(stderr, "");
  assert.equal(code, 7);
  // Unlike any machine of ours: time zone, umask, home, environment, terminal.
  assert.deepEqual(stdout.split("\n"), [
    "+0545",
    "0077",
    "/home/new user",
    "HOME OLDPWD PATH PWD SHLVL TERM _", // some of them the shells' own
    "not a tty",
    "",
  ]);
});
