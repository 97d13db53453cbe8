// SPDX-License-Identifier: Apache-2.0

import type { Logger } from "../base/logger.ts";
import { startInterval, type Timer } from "../base/timers.ts";
import type { NetworkConf } from "./conf.ts";
import { hasVerb } from "./versions.ts";

const defaultPollMs = 5000;

export interface StatusMonitorOptions {
  /** Asks the plugins of a network; rejects with the reason why they cannot serve. Bounded in time. */
  readonly ask: (conf: NetworkConf, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  readonly pollMs?: number;
}

interface Watched {
  readonly conf: NetworkConf;
  /** "" when the plugins are ready. */
  answer: string;
  asking: Promise<void> | undefined;
}

/**
 * Keeps the plugins' last answers to STATUS (CNI 1.1), and goes on asking in the background: a plugin that hangs
 * never holds up a reader. Networks of older versions are ready as soon as they are configured.
 */
export class StatusMonitor implements AsyncDisposable {
  readonly #options: StatusMonitorOptions;
  readonly #poll: Timer;
  readonly #end = new AbortController();
  #watched = new Map<string, Watched>();

  constructor(options: StatusMonitorOptions) {
    this.#options = options;
    this.#poll = startInterval(() => this.#askAll(), options.pollMs ?? defaultPollMs);
    this.#poll.unref();
  }

  /**
   * Watches these networks from now on, and asks them at once. Until one answers, the last answer of the network of
   * that name stands; without one it is not ready.
   */
  watch(networks: readonly NetworkConf[]): void {
    const before = this.#watched;
    const withStatus = networks.filter(({ cniVersion }) => hasVerb(cniVersion, "STATUS"));
    this.#watched = new Map(
      withStatus.map((conf) => {
        const answer =
          before.get(conf.name)?.answer ??
          `CNI plugins of network "${conf.name}" have not answered STATUS yet`;
        return [conf.name, { conf, answer, asking: undefined }];
      }),
    );
    this.#askAll();
  }

  /** Settles when every STATUS that is under way has been answered. Never rejects. */
  async answered(): Promise<void> {
    await Promise.all([...this.#watched.values()].flatMap(({ asking }) => asking ?? []));
  }

  /** Why networks are not ready, by name; empty when all are. From memory. */
  get complaints(): ReadonlyMap<string, string> {
    const all = [...this.#watched.values()].filter(({ answer }) => answer !== "");
    return new Map(all.map(({ answer, conf }) => [conf.name, answer]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#poll.stop();
    this.#end.abort();
    await this.answered();
  }

  #askAll(): void {
    for (const watched of this.#watched.values()) {
      watched.asking ??= this.#ask(watched).finally(() => {
        watched.asking = undefined;
      });
    }
  }

  async #ask(watched: Watched): Promise<void> {
    const { ask, log } = this.#options;
    const { conf } = watched;
    let answer = "";
    try {
      await ask(conf, this.#end.signal);
    } catch (error) {
      answer = error instanceof Error ? error.message : String(error);
    }
    if (this.#end.signal.aborted || answer === watched.answer) return;
    watched.answer = answer;
    if (answer === "") log.info({ network: conf.name }, "CNI plugins are ready");
    else log.warn({ network: conf.name, reason: answer }, "CNI plugins are not ready");
  }
}
