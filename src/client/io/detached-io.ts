// SPDX-License-Identifier: Apache-2.0
import type { IoConfig, ProcessIo } from "../ports.ts";

/** Streams of which only the shim holds ends: there is nothing for us to drain. */
export class DetachedIo implements ProcessIo {
  readonly config: IoConfig;

  constructor(config: IoConfig) {
    this.config = config;
  }

  async drained(): Promise<void> {}

  async closeStdin(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
