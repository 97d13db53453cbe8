// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { connectPeer } from "../../test/support/grpc-peer.ts";
import { Cri } from "../../test/support/pods.ts";
import { endChild } from "../../test/support/registry.ts";
import { scratch } from "../../test/support/scratch.ts";

/** A process with nothing but grpc-js in it, asked by the client of all others. */
export interface BareServer extends AsyncDisposable {
  readonly pid: number;
  readonly cri: Cri;
}

/** `answers`: encoded messages by SERVICE.METHOD. */
export async function startBareServer(
  answers: Readonly<Record<string, Uint8Array>>,
): Promise<BareServer> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "floors" }));
  const folder = await home.folder("answers");
  for (const [name, bytes] of Object.entries(answers))
    await writeFile(path.join(folder, name), bytes);
  const socket = path.join(home.path, "bare.sock");
  const program = path.join(import.meta.dirname, "bare-server.ts");
  const child = spawn(process.execPath, [program, socket, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  undo.defer(() => endChild(child));
  await once(child.stdout, "data");
  const peer = undo.use(connectPeer(socket));
  const owned = undo.move();
  return {
    pid: child.pid ?? 0,
    cri: new Cri(peer, { logRoot: home.path, cgroupParent: "" }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
