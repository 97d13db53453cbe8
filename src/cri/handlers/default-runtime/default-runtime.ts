// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import type { Cancellable } from "../../../base/cancellable.ts";
import { toFault } from "../../../base/errors.ts";
import type { Logger } from "../../../base/logger.ts";
import { sleep, startTimer } from "../../../base/timers.ts";
import { within } from "../../../base/waits.ts";
import type { RuntimeConfig, RuntimeHandlerConfig } from "../../../config/config.ts";
import { onCommit, type ReloadPart } from "../../../config/reload-port.ts";
import { isRuncType } from "../../../config/runc-options.ts";
import { type FlawedRuntime, flawsOf } from "../../../oci/runtime-flaws.ts";
import type { RuntimeFeatures } from "../../oci-spec/ports.ts";
import { handlerFor, type PodHandler } from "../handlers.ts";
import type { NodeFacts } from "./node-facts.ts";
import type { DefaultRuntime, DefaultRuntimeFacts } from "./ports.ts";
import { identityOf, type ProgramIdentity } from "./program-identity.ts";
import { rememberedOutcome, rememberOutcome, type TrialOutcome } from "./remembered-choice.ts";
import { againstTrying } from "./weigh.ts";

/** After the daemon serves, so that whoever waited for it comes first. */
const restMs = 1_000;
/** One that fails is tried again before it counts: the node may have been short of something. */
const attempts = 2;
const againMs = 5_000;
/** Programs are installed while the daemon runs: how often a new pod has the node looked at again. */
const lookMs = 60_000;
/** The same after trials that came to no end, of a program that hangs for one. */
const longestLookMs = 3_600_000;
/** A disk that hangs holds up no pod. */
const statMs = 1_000;

export interface DefaultRuntimeNeeds {
  readonly config: () => RuntimeConfig;
  /** What a configured handler can do. From memory. */
  readonly features: (handler: string) => RuntimeFeatures;
  readonly readFacts: (runtime: RuntimeConfig) => Promise<NodeFacts>;
  /** Runs crun. Throws UNAVAILABLE and the like where that says nothing of what it can. */
  readonly tryOut: (facts: NodeFacts, call: Cancellable) => Promise<TrialOutcome>;
  /** Removes what trials have left that were cut short. */
  readonly clear: () => Promise<void>;
  /** Where outcomes are kept. */
  readonly file: string;
  readonly log: Logger;
  readonly lifetime: AbortSignal;
  /** Of waits; the constants above when left out. For tests. */
  readonly waits?: { readonly restMs: number; readonly againMs: number };
}

/** What was found: crun, or why not. */
type Choice =
  | {
      readonly program: ProgramIdentity;
      /** What it is run by, where it must not see the cgroup v2 tree. */
      readonly unseen: ProgramIdentity | null;
      /** The table with which it was tried. */
      readonly table: RuntimeHandlerConfig;
      readonly features: RuntimeFeatures;
      readonly version: string;
      readonly reason: string;
    }
  | { readonly program?: undefined; readonly isFinal: boolean; readonly reason: string };

/**
 * Chooses between runc and crun for pods without a RuntimeClass, while the configuration names no default handler. Until
 * it is known that crun works here, and whenever that is in doubt, it is runc. A pod keeps what it was made with.
 */
export class DefaultRuntimeChooser implements DefaultRuntime {
  readonly #needs: DefaultRuntimeNeeds;
  #choice: Choice = { isFinal: false, reason: "crun has not been looked at yet" };
  #told = "";
  #lookedAt = 0;
  #lookMs = lookMs;
  #known: { readonly facts: NodeFacts; readonly outcome: TrialOutcome } | undefined;
  #mayTry = false;
  #running: Promise<void> | undefined;
  #again = false;

  constructor(needs: DefaultRuntimeNeeds) {
    this.#needs = needs;
  }

  /** Takes what an earlier daemon has found. Runs nothing, and does not reject. */
  async open(): Promise<void> {
    await this.#look();
  }

  /** From here on crun may be run, a little later. Call it once the daemon serves. */
  begin(): void {
    const { lifetime, waits } = this.#needs;
    startTimer(() => {
      if (lifetime.aborted) return;
      this.#mayTry = true;
      this.#lookSoon();
    }, waits?.restMs ?? restMs).unref();
  }

  /** Settles when no trial runs. */
  async idle(): Promise<void> {
    await this.#running;
  }

  current(): PodHandler {
    const runtime = this.#needs.config();
    const plain = handlerFor(runtime, "");
    const { program, ...choice } = this.#choice;
    // A reload may have changed the table, and what was found is of another one.
    if (
      runtime.defaultHandler !== "" ||
      program === undefined ||
      !("table" in choice) ||
      !isDeepStrictEqual(choice.table, plain.config)
    ) {
      return { ...plain, features: this.#needs.features(plain.name) };
    }
    const config = { ...plain.config, binaryName: (choice.unseen ?? program).path };
    return { name: "crun", config, features: choice.features };
  }

  async forNewPod({ signal }: Cancellable): Promise<PodHandler> {
    const choice = this.#choice;
    if (this.#needs.config().defaultHandler !== "") return this.current();
    if ("table" in choice) {
      const programs = [choice.program, ...(choice.unseen === null ? [] : [choice.unseen])];
      const looking = Promise.all(programs.map(({ path }) => identityOf(path)));
      const now = (await within(looking, statMs, signal)) ?? [];
      const changed = programs.findIndex((known, at) => !isDeepStrictEqual(now[at], known));
      if (choice === this.#choice && changed >= 0) {
        const what = now[changed] === undefined ? "is gone" : "has been replaced";
        const reason = `${programs[changed]?.path} ${what} and is looked at anew`;
        this.#choose({ isFinal: false, reason });
        this.#lookSoon();
      }
    }
    if (performance.now() - this.#lookedAt > this.#lookMs) this.#lookSoon();
    return this.current();
  }

  describe(): DefaultRuntimeFacts {
    const { name: handler, config } = this.current();
    const program = isRuncType(config.type) ? config.binaryName || "runc" : config.type;
    if (this.#needs.config().defaultHandler !== "") {
      return { handler, program, by: "configuration", reason: "default_handler names it" };
    }
    const choice = this.#choice;
    const isMade = "table" in choice ? handler === "crun" : choice.isFinal;
    const { reason } = choice;
    return { handler, program, by: isMade ? "choice" : "no choice yet", reason };
  }

  /** What is known of the one that was chosen; of handlers that are configured others tell. */
  flaws(): readonly FlawedRuntime[] {
    const choice = this.#choice;
    if (!("table" in choice) || this.current().name !== "crun") return [];
    const flaws = flawsOf("crun", choice.version);
    const { path: binary } = choice.program;
    if (flaws.length === 0) return [];
    return [{ handler: "(default)", binary, version: choice.version, build: "", flaws }];
  }

  /** Keys whose change may lead to another choice. */
  readonly reload: ReloadPart = {
    keys: ["runtime"],
    prepare: async () => onCommit(() => this.#lookSoon()),
  };

  /** One look at a time; who asks during one gets another after it. */
  #lookSoon(): void {
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#again = false;
    this.#running = this.#look().then(() => {
      this.#running = undefined;
      if (this.#again && !this.#needs.lifetime.aborted) this.#lookSoon();
    });
  }

  async #look(): Promise<void> {
    const { config, clear, file, lifetime, log, readFacts } = this.#needs;
    const runtime = config();
    this.#lookedAt = performance.now();
    try {
      if (this.#mayTry) await clear();
      if (runtime.defaultHandler !== "") return;
      const facts = await readFacts(runtime);
      const against = againstTrying(facts);
      if (against !== undefined) {
        this.#choose({ isFinal: true, reason: against });
        return;
      }
      const known = isDeepStrictEqual(this.#known?.facts, facts)
        ? this.#known?.outcome
        : await rememberedOutcome(file, facts);
      if (known !== undefined) this.#settle(facts, known);
      else if (this.#mayTry) await this.#try(facts);
      else this.#choose({ isFinal: false, reason: "crun has not been tried yet" });
    } catch (err) {
      if (lifetime.aborted) return;
      this.#lookMs = Math.min(this.#lookMs * 4, longestLookMs);
      const { message } = toFault(err);
      this.#choose({ isFinal: false, reason: `crun was not tried to the end: ${message}` });
      log.debug({ err }, "crun was not tried to the end");
    }
  }

  async #try(facts: NodeFacts): Promise<void> {
    const { file, lifetime, log, tryOut, waits } = this.#needs;
    this.#choose({ isFinal: false, reason: "crun is being tried" });
    let outcome = await tryOut(facts, { signal: lifetime });
    for (let attempt = 1; attempt < attempts && outcome.features === undefined; attempt += 1) {
      await sleep(waits?.againMs ?? againMs, { signal: lifetime });
      outcome = await tryOut(facts, { signal: lifetime });
    }
    this.#settle(facts, outcome);
    try {
      await rememberOutcome(file, facts, outcome);
    } catch (err) {
      log.warn({ err, file }, "whether crun works here is not remembered");
    }
  }

  #settle(facts: NodeFacts, outcome: TrialOutcome): void {
    this.#known = { facts, outcome };
    this.#lookMs = lookMs;
    const { crun, table, unseen } = facts;
    const { features, version, reason } = outcome;
    if (features === undefined || crun === null) this.#choose({ isFinal: true, reason });
    else this.#choose({ program: crun, unseen, table, features, version, reason });
  }

  #choose(choice: Choice): void {
    this.#choice = choice;
    const { program, by, reason } = this.describe();
    const told = `${program} ${by} ${reason}`;
    if (told === this.#told) return;
    this.#told = told;
    const { log } = this.#needs;
    if (by === "choice") log.info({ program, reason }, "default OCI runtime chosen");
    else log.debug({ program, reason }, "default OCI runtime");
    for (const { binary, version, flaws } of this.flaws()) {
      log.warn(
        { binary, version, flaws: flaws.map(({ id }) => id) },
        `this ${binary} has known flaws, unless its packager has mended them; see berth status`,
      );
    }
  }
}
