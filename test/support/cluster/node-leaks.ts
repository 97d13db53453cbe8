// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import { cgroupsBelow } from "../cgroups.ts";
import { processesInCgroup } from "../processes.ts";
import { until } from "../until.ts";
import { patience } from "./client.ts";
import type { ClusterNode } from "./node.ts";

/** Ends the kubelet, the pods and then Berth; answers what they left in the node's box, a line each. */
export async function endNode(node: ClusterNode): Promise<string[]> {
  await node.kubelet.stop();
  await node.proxy.stop();
  const cri = node.peer.client("runtime.v1.RuntimeService");
  // One that was being made when the kubelet ended may come to the list later, and a removal that it asked for be under way.
  await until(
    "no pod is there",
    async () => {
      const { items } = await cri.ListPodSandbox({});
      for (const { id } of items) {
        await cri.StopPodSandbox({ podSandboxId: id });
        await cri.RemovePodSandbox({ podSandboxId: id });
      }
      return items.length === 0;
    },
    patience,
  );
  await node.berthd.stop();
  let left: string[] = [];
  await until(
    "nothing is left",
    async () => {
      left = await leftOn(node);
      return left.length === 0;
    },
    { timeoutMs: 60_000, everyMs: 250 },
  ).catch(() => {});
  return left;
}

/** A kubelet that has ended leaves those of pods that were there. */
const ofTheKubelet = /\/kubepods(\/(besteffort|burstable))?(\/pod[0-9a-f-]{36})?$/;

async function leftOn({ name, box, cgroupRoot }: ClusterNode): Promise<string[]> {
  const lines = async (program: string, ...args: string[]): Promise<string[]> =>
    (await box.must(program, args)).split("\n");
  const mounts = await lines("cat", "/proc/self/mounts");
  const own = ["/run/berthd/netns", "/var/lib/berthd"];
  const inBerth = mounts
    .map((line) => line.split(" ")[1] ?? "")
    .filter((place) => /^\/(run|var\/lib)\/berthd/.test(place) && !own.includes(place));
  const links = await lines("ip", "-o", "link", "show", "master", "cni0");
  const rules = (await lines("iptables-save")).filter((line) => line.includes("berth-cluster"));
  const addresses = await readdir(box.seen("/var/lib/cni/berth-cluster")).catch(() => []);
  const shims = await readdir(box.seen("/run/containerd/s")).catch(() => []);
  const processes = processesInCgroup(cgroupRoot);
  const groups = (await cgroupsBelow(cgroupRoot)).filter((it) => !ofTheKubelet.test(it));
  return [
    ...inBerth.map((place) => `mount ${place}`),
    ...links.filter((line) => line.includes(" veth")).map((line) => `link ${line}`),
    ...rules,
    ...addresses.filter((file) => /^\d+\./.test(file)).map((file) => `address ${file}`),
    ...shims.map((file) => `shim socket ${file}`),
    ...processes.map(({ pid, argv }) => `process ${pid}: ${argv.join(" ")}`),
    ...groups.map((group) => `cgroup ${group}`),
  ].map((line) => `${name}: ${line}`);
}
