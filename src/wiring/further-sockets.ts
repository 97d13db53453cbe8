// SPDX-License-Identifier: Apache-2.0
import type { PreparedReload, ReloadPart } from "../config/reload-port.ts";
import { dropLinkTo } from "../rpc/further-socket.ts";
import type { GrpcServer } from "../rpc/grpc-server.ts";

/** The sockets of `grpc.also`. They end with the server. */
export class FurtherSockets implements ReloadPart {
  readonly keys: readonly string[] = ["grpc.also"];
  readonly #server: GrpcServer;
  #open: ReadonlyMap<string, Disposable> = new Map();

  constructor(server: GrpcServer) {
    this.#server = server;
  }

  /** Opens them all or none. Errors as the server's `listenAlso`. */
  async start(files: readonly string[]): Promise<void> {
    (await this.#change(files)).commit();
  }

  prepare({ grpc }: Parameters<ReloadPart["prepare"]>[0]): Promise<PreparedReload> {
    return this.#change(grpc.also);
  }

  /** New ones answer before the commit already: that harms nobody, and nothing may fail afterwards. */
  async #change(files: readonly string[]): Promise<PreparedReload> {
    const next = new Map<string, Disposable>();
    using opened = new DisposableStack();
    for (const file of files) {
      const known = this.#open.get(file);
      if (known === undefined) dropLinkTo(this.#server.path, file);
      next.set(file, known ?? opened.use(await this.#server.listenAlso(file)));
    }
    const undo = opened.move();
    const gone = [...this.#open].filter(([file]) => !next.has(file));
    return {
      commit: () => {
        for (const [, socket] of gone) socket[Symbol.dispose]();
        this.#open = next;
      },
      rollback: async () => undo.dispose(),
    };
  }
}
