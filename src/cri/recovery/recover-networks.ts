// SPDX-License-Identifier: Apache-2.0

import { deadline } from "../../base/deadline.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { CriParts } from "../parts.ts";
import { networkRequest, type SandboxRecord } from "../store/sandbox-record.ts";

type Needs = Pick<
  CriParts,
  "lifetime" | "liveSandboxes" | "log" | "netns" | "network" | "sandboxes"
>;

const checkMs = 10_000;
/** Plugins are programs: a few at a time leave the machine to the pods. */
const checksAtOnce = 2;

/**
 * After a start, beside the calls that come in: has the network give back what no pod holds, and
 * checks that of the running pods, whose interfaces, routes and rules may have suffered while nobody
 * looked. What is amiss is logged and shown in verbose status; the pod is left alone. Never rejects.
 */
export async function recoverNetworks(parts: Needs): Promise<void> {
  parts.network.startCollecting(() => withNetwork(parts));
  const permits = new Semaphore(checksAtOnce);
  const running = [...parts.sandboxes.list()].filter(
    ({ network, state }) => network.kind === "up" && state.kind === "ready",
  );
  await Promise.all(
    running.map(async (record) => {
      using _permit = await permits.acquire();
      if (!parts.lifetime.aborted) await check(parts, record);
    }),
  );
}

function* withNetwork({ sandboxes }: Pick<CriParts, "sandboxes">): Iterable<string> {
  for (const { id, network } of sandboxes.list()) {
    if (network.kind === "up" || network.kind === "pending") yield id;
  }
}

async function check(parts: Needs, record: SandboxRecord): Promise<void> {
  const { log, netns, network } = parts;
  if (record.network.kind !== "up") return;
  const { netnsPath } = record.network;
  using limit = deadline(checkMs, `checking the network of "${record.id}"`, parts.lifetime);
  let found = "OK";
  try {
    if (await netns.isAlive(netnsPath))
      await network.check(networkRequest(record, netnsPath), limit);
    else found = `network namespace "${netnsPath}" is gone`;
  } catch (error) {
    found = error instanceof Error ? error.message : String(error);
  }
  // A pod that goes meanwhile has its network taken down under the check.
  if (parts.lifetime.aborted || parts.sandboxes.get(record.id)?.network.kind !== "up") return;
  const counts = parts.liveSandboxes.of(record.id).networkChecked(found);
  if (counts && found !== "OK")
    log.warn({ sandbox: record.id, reason: found }, "CNI CHECK finds a pod's network amiss");
}
