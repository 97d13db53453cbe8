// SPDX-License-Identifier: Apache-2.0
import { processesInCgroup, waitsOf } from "../processes.ts";
import type { Testbed } from "../testbed.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Kubelet } from "./kubelet.ts";

const lines = 8;
const width = 220;

/**
 * What API server, kubelet and runtime have to say of a pod whose deletion does not end: the one time that it happened
 * nothing but "timed out" was left of it. Output of CI is cut: it is short, and its lines begin with what is said again at the end.
 */
export async function whyItStays(
  pod: string,
  { bed, plane, kubelet }: { bed: Testbed; plane: ControlPlane; kubelet: Kubelet },
): Promise<string> {
  const part = async (name: string, ask: () => Promise<string> | string): Promise<string> => {
    const said = await Promise.resolve()
      .then(ask)
      .catch((error: unknown) => `not told: ${String(error)}`);
    return said
      .trimEnd()
      .split("\n")
      .map((line) => `failed: ${name}: ${line.slice(0, width)}`)
      .join("\n");
  };
  const { runtime } = bed.cri;
  const group = bed.daemon.territory.cgroupParent;
  const inCgroup = new Set(processesInCgroup(group).map(({ pid }) => pid));
  const parts = [
    part("sandboxes", async () => (await runtime.ListPodSandbox({})).items.map(stateOf).join("\n")),
    part("containers", async () =>
      (await runtime.ListContainers({})).containers.map(stateOf).join("\n"),
    ),
    part("processes", () => lastLines(waitsOf(({ pid }) => inCgroup.has(pid)))),
    part("the kubelet's log", async () => lastLines(await kubelet.log(), new RegExp(pod))),
    part("berthd's log", async () =>
      lastLines(await bed.daemon.log(), /warn|error|Stop|Remove|Kill/),
    ),
    part("the pod", async () => lastLines((await plane.kubectl(["describe", "pod", pod])).stdout)),
  ];
  return (await Promise.all(parts)).join("\n");
}

const stateOf = ({ id, state }: { id: string; state: string }): string => `${id}: ${state}`;

const lastLines = (log: string, about = /./): string =>
  log
    .trimEnd()
    .split("\n")
    .filter((line) => about.test(line))
    .slice(-lines)
    .join("\n");
