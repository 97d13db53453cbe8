// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { aborted } from "../base/waits.ts";
import type { ServiceImpl } from "../rpc/service.ts";

const serving = { status: "SERVING" } as const;
/** The daemon as a whole; like containerd, it reports on no single service. */
const whole = "";

/**
 * gRPC's health service: containerd's client library asks it whether the daemon serves (`IsServing`).
 * For the daemon as a whole the answer is always SERVING: the socket opens once all vital plugins are up, and
 * closes with them.
 */
export function createHealthService(): ServiceImpl<"grpc.health.v1.Health"> {
  return {
    Check: async ({ service }) => {
      if (service !== whole) throw fault("NOT_FOUND", `service "${service}" not found`);
      return serving;
    },
    List: async () => ({ statuses: { [whole]: serving } }),
    Watch: ({ service }, { signal }) => watch(service, signal),
  };
}

async function* watch(
  service: string,
  signal: AbortSignal,
): AsyncGenerator<{ status: "SERVING" | "SERVICE_UNKNOWN" }, void, undefined> {
  yield service === whole ? serving : { status: "SERVICE_UNKNOWN" };
  await aborted(signal);
}
