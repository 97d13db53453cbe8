// SPDX-License-Identifier: Apache-2.0
import type { EventExchange } from "../events/ports.ts";
import type { Transfer } from "../images/progress/transfer.ts";
import type { TransferNews } from "../images/progress/transfers.ts";
import { packAny } from "../rpc/codec.ts";
import type { RunningOperation } from "./berth-operations-service.ts";

/** Tells subscribers how far a pull or a push is. */
export function publishTransfer(
  events: EventExchange,
  namespace: string,
  { kind, moment, doneBytes, totalBytes, ...rest }: TransferNews,
): void {
  const event = { ...rest, doneBytes: BigInt(doneBytes), totalBytes: BigInt(totalBytes) };
  events.publish(namespace, `/images/${kind}/${moment}`, packAny("berth.v1.TransferEvent", event));
}

const rpcs = { pull: "PullImage", push: "PushImage" } as const;

/** A pull or a push as one of the calls that run. */
export function transferOperation(transfer: Transfer): RunningOperation {
  const { doneBytes, totalBytes, state } = transfer.totals();
  const seconds = (performance.now() - transfer.startedAt) / 1000;
  return {
    rpc: rpcs[transfer.kind],
    object: transfer.image,
    seconds,
    stages: [{ stage: state, seconds }],
    bytes: { done: doneBytes, total: totalBytes },
  };
}
