// SPDX-License-Identifier: Apache-2.0
// Sicknesses that only a kernel can have, each in namespaces of its own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { suite, test } from "node:test";
import type { Told } from "../../support/doctor/made-node.ts";
import { lacking } from "../../support/lacking.ts";
import { must } from "../../support/run.ts";
import { scratch } from "../../support/scratch.ts";

const berth = path.resolve(import.meta.dirname, "../../../bin/berth");
const ipam = { type: "host-local", ranges: [[{ subnet: "10.99.0.0/16" }]] };
const plugins = [{ type: "bridge", bridge: "pods0", ipMasq: true, ipam }];

interface Sick {
  readonly check: string;
  /** Commands for sh, as root of namespaces that nobody else has. */
  readonly make: string;
  readonly says: RegExp;
  readonly namespaces?: readonly string[];
  /** Besides what all of them need. */
  readonly needs?: readonly string[];
  /** What is printed is not run here, since it would be the machine's, or is for somebody to look at. */
  readonly isNotMended?: boolean;
}

const sicknesses: Readonly<Record<string, Sick>> = {
  "a firewall that drops what is forwarded": {
    check: "firewall",
    make: "iptables -P FORWARD DROP; iptables -A FORWARD -o docker0 -j ACCEPT; iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER",
    says: /the policy of iptables' chain FORWARD is DROP/,
  },
  "rules of Services in both kinds of iptables": {
    check: "firewall",
    make: "for kind in legacy nft; do iptables-$kind -t nat -N KUBE-SERVICES; iptables-$kind -t nat -A KUBE-SERVICES -j RETURN; done",
    says: /rules of Services are in both kinds of iptables/,
    needs: ["iptables-legacy", "iptables-nft"],
    isNotMended: true,
  },
  "pods with addresses of the node's own network": {
    check: "cni",
    make: "ip link add lan type veth peer name other; ip address add 10.99.7.1/24 dev lan; ip link set lan up; ip link set other up",
    says: /network pods gives pods addresses of 10\.99\.0\.0\/16, of which the node has 10\.99\.7\.1\/24 on lan/,
  },
  "a bridge that another runtime left, with the addresses of the pods": {
    check: "cni",
    make: "ip link add old0 type bridge; ip address add 10.99.0.1/16 dev old0; ip link set old0 up",
    says: /of which the node has 10\.99\.0\.1\/16 on old0/,
  },
  "root without inotify instances": {
    check: "sysctls",
    namespaces: ["--user", "--map-root-user"],
    make: "echo 0 >/proc/sys/user/max_inotify_instances",
    says: /root has all its inotify instances: fs\.inotify\.max_user_instances is \d+/,
    isNotMended: true,
  },
};

suite("the doctor on a sick kernel", {
  skip: lacking("unshare", "nsenter", "iptables", "iptables-save", "ip"),
}, () => {
  for (const [name, { check, make, says, isNotMended, ...sick }] of Object.entries(sicknesses)) {
    const isMended = isNotMended !== true;
    const skip = lacking(...(sick.needs ?? []));
    test(`names ${name}${isMended ? ", and what it prints mends it" : ""}`, { skip }, async () => {
      await using home = await scratch({ prefix: "sick-kernel" });
      const config = await configuration(home.path);
      await using place = await namespaces(...(sick.namespaces ?? ["--net", "--mount"]));
      const found = async () => {
        const command = `'${berth}' doctor --json --config '${config}' --only ${check} || true`;
        const { findings } = JSON.parse(await place.sh(command)) as { findings: readonly Told[] };
        return findings.filter(({ what }) => says.test(what));
      };
      assert.deepEqual(await found(), []);
      await place.sh(make);
      const [told, ...others] = await found();
      assert.ok(told !== undefined && others.length === 0);
      if (!isMended) return;
      await place.sh(`${told.mend.replaceAll("berth doctor", "true doctor")}\ntrue`);
      assert.deepEqual(await found(), [], told.mend);
    });
  }
});

test("neither are rules of two owners in two kinds of iptables a fault, nor makes a look at them tables", {
  skip: lacking("unshare", "nsenter", "iptables-legacy", "iptables-nft", "ip"),
}, async () => {
  await using home = await scratch({ prefix: "sick-kernel" });
  const config = await configuration(home.path);
  await using place = await namespaces("--net", "--mount");
  const command = `'${berth}' doctor --json --config '${config}' --only firewall || true`;
  const found = async (): Promise<readonly Told[]> => {
    const { findings } = JSON.parse(await place.sh(command)) as { findings: readonly Told[] };
    return findings.filter(({ level }) => level !== "ok");
  };
  assert.deepEqual(await found(), []);
  assert.equal(await place.sh("cat /proc/self/net/ip_tables_names; iptables-nft-save"), "");
  await place.sh(
    "iptables-legacy -t nat -N CNI-HOSTPORT-DNAT; iptables-nft -t nat -N KUBE-SERVICES",
  );
  assert.deepEqual(await found(), []);
});

/** Of a berthd that does not run, with a network of pods. */
async function configuration(home: string): Promise<string> {
  const confDir = path.join(home, "net.d");
  await mkdir(confDir);
  const network = { cniVersion: "1.0.0", name: "pods", plugins };
  await writeFile(path.join(confDir, "10-pods.conflist"), JSON.stringify(network));
  const config = path.join(home, "config.toml");
  const folders = `root = "${home}/root"\nstate = "${home}/state"\n`;
  const rest = `[grpc]\naddress = "${home}/berthd.sock"\n[cni]\nconf_dir = "${confDir}"\n`;
  await writeFile(config, `${folders}${rest}`);
  return config;
}

/** New ones, and what runs a script in them; gone with their one process. */
async function namespaces(...kinds: readonly string[]) {
  const keeper = spawn("unshare", [...kinds, "sh", "-c", "echo; exec sleep 1000"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(keeper.stdout, "data");
  const target = [`--target=${keeper.pid}`, ...kinds.filter((one) => !one.startsWith("--map"))];
  return {
    sh: async (script: string): Promise<string> => {
      const asRoot = kinds.includes("--user") ? ["--setuid=0", "--setgid=0"] : [];
      return must("nsenter", [...target, ...asRoot, "sh", "-c", script]);
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      const ended = once(keeper, "exit");
      keeper.kill("SIGKILL");
      await ended;
    },
  };
}
