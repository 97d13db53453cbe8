// SPDX-License-Identifier: Apache-2.0
import { startContainerd } from "../test/support/containerd.ts";
import { startDaemon } from "../test/support/daemon.ts";
import type { Cri } from "../test/support/pods.ts";

export type ContenderName = "berth" | "containerd";

/** A runtime in the bench: the same client, runc, CNI plugins and image for each. */
export interface Contender extends AsyncDisposable {
  readonly name: ContenderName;
  readonly cri: Cri;
  readonly pid: number;
  /** What its shims were told; finds them in /proc. */
  readonly socket: string;
  /** Kills the daemon and starts it again, where the harness can; until it serves. */
  readonly restart?: () => Promise<void>;
}

/** Starts one on roots and a network of its own. `sandboxImage` is for containerd; ours is built in. */
export async function startContender(
  name: ContenderName,
  sandboxImage: string,
): Promise<Contender> {
  if (name === "containerd") {
    const peer = await startContainerd(sandboxImage);
    return {
      name,
      cri: peer.cri,
      pid: peer.pid,
      socket: peer.socket,
      [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
    };
  }
  const daemon = await startDaemon({ logLevel: "info" });
  return {
    name,
    cri: daemon.cri,
    get pid() {
      return daemon.pid();
    },
    socket: daemon.socket,
    restart: async () => {
      await daemon.kill9();
      await daemon.start();
    },
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}
