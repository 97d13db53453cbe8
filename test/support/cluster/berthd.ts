// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { connectPeer, type GrpcPeer } from "../grpc-peer.ts";
import type { Box } from "./box.ts";
import { type Service, startService } from "./service.ts";

/** Where a box's Berth serves: the place that it has by default. */
export const berthdSocket = "/run/berthd/berthd.sock";
const berthd = path.resolve(
  process.env["BERTH_TEST_PROGRAMS"] ?? path.resolve(import.meta.dirname, "../../../bin"),
  "berthd",
);
const compileCache = path.resolve(import.meta.dirname, "../../../build/compile-cache");

export interface BoxedBerthd extends AsyncDisposable {
  readonly service: Service;
  readonly peer: GrpcPeer;
}

/** Starts a Berth in a box, and waits until all of its conditions hold. */
export async function startBerthd(
  box: Box,
  { folder, config }: { readonly folder: string; readonly config: string },
): Promise<BoxedBerthd> {
  await using undo = new AsyncDisposableStack();
  const peer = undo.use(connectPeer(box.seen(berthdSocket)));
  const cri = peer.client("runtime.v1.RuntimeService");
  const service = undo.use(
    await startService(box, {
      name: "berthd",
      argv: [berthd, "serve", "--config", config],
      folder,
      env: { NODE_COMPILE_CACHE: compileCache },
      isUp: async () => {
        const { status } = await cri.Status({});
        return status?.conditions.every((it) => it.status) === true;
      },
    }),
  );
  const owned = undo.move();
  return { service, peer, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
