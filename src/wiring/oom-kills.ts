// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../base/logger.ts";
import { criNamespace } from "../cri/ports.ts";
import { decodeEvent } from "../events/event-fields.ts";
import type { EventExchange } from "../events/ports.ts";

/** A tenant makes as many as it likes, and the newest say as much as all. */
const capacity = 256;

/** Hears shims tell of kills for want of memory, until disposed. */
export function watchOomKills(
  exchange: EventExchange,
  onKill: (containerId: string) => void,
  log: Logger,
): Disposable {
  const filter = `topic=="/tasks/oom",namespace==${JSON.stringify(criNamespace)}`;
  const subscription = exchange.subscribe([filter], { capacity });
  const read = async (): Promise<void> => {
    for await (const { event } of subscription.read()) {
      const id = decodeEvent(event)?.["containerId"];
      if (typeof id === "string") onKill(id);
    }
  };
  read().catch((err: unknown) => log.error({ err }, "kills of processes are not told any more"));
  return subscription;
}
