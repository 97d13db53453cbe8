// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { StreamingServer } from "../../streaming/ports.ts";

/** Where the verbs find the streaming server, which is made after them: it needs what they share. */
export class StreamingServerHolder {
  #server: StreamingServer | undefined;

  /** UNAVAILABLE while there is none: pods run on without it. */
  server(): StreamingServer {
    if (this.#server) return this.#server;
    throw fault("UNAVAILABLE", "the streaming server is not running");
  }

  use(server: StreamingServer | undefined): void {
    this.#server = server;
  }
}
