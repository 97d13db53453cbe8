// SPDX-License-Identifier: Apache-2.0
import { dropLinkTo } from "./further-socket.ts";
import type { GrpcServer } from "./grpc-server.ts";

/** Sockets that are open, but not yet in the place of those before. One of the two is called, once. */
export interface PreparedSockets {
  /** Closes what is not wanted any more. Never throws. */
  commit(): void;
  rollback(): Promise<void>;
}

/** Sockets of a server besides its own. They end with the server. */
export class FurtherSockets {
  readonly #server: GrpcServer;
  #open: ReadonlyMap<string, Disposable> = new Map();

  constructor(server: GrpcServer) {
    this.#server = server;
  }

  /** Opens them all or none. Errors as the server's `listenAlso`. */
  async start(files: readonly string[]): Promise<void> {
    (await this.prepare(files)).commit();
  }

  /**
   * Opens those of `files` that are not open. They answer before the commit already: that harms nobody,
   * and nothing may fail afterwards.
   */
  async prepare(files: readonly string[]): Promise<PreparedSockets> {
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
