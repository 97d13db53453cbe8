// SPDX-License-Identifier: Apache-2.0
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { disposeOnSignal } from "../support/last-resort.ts";
import { newerRuncOrReason } from "../support/newer-runc.ts";
import { processInfo } from "../support/processes.ts";
import { Random } from "../support/random.ts";
import { freePort } from "../support/registry.ts";
import { pullRecipe, shellLayer } from "../support/test-images.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { type Census, takeCensus } from "./census.ts";
import { type CycleKind, chooseKind, kindsOf, runCycle, type Yard } from "./cycles.ts";
import { DaemonLife } from "./daemon-life.ts";
import { differences, groupOf, objectGroup, type QuietPoint } from "./growth.ts";
import { inspectorOptions } from "./inspector.ts";
import { Lane } from "./lane.ts";
import { Ledger } from "./ledger.ts";
import { type Memory, takeMemory } from "./memory.ts";
import type { SoakOptions } from "./options.ts";

/** Past so many broken promises the rest would tell nothing new. */
const enoughFailures = 50;
const settleMs = 30_000;
const settleEveryMs = 500;
/** So long the first point's counts must be the same: threads stay a while after their last work. */
const firstStaysMs = 12_000;
const progressEveryMs = 10_000;

/** What a soak did and found; filled while it runs, so that an interrupted one has what there is. */
export interface SoakFindings {
  readonly ledger: Ledger;
  readonly points: QuietPoint[];
  readonly cycles: Map<CycleKind, number>;
  kills: number;
  killsInStart: number;
  seconds: number;
  /** Why there are no user namespaces; undefined where there are. */
  noUserNamespaces: string | undefined;
  /** What the daemon left after its end; undefined until then. */
  ending: string | undefined;
}

export function noFindings(): SoakFindings {
  return {
    ledger: new Ledger(),
    points: [],
    cycles: new Map(),
    kills: 0,
    killsInStart: 0,
    seconds: 0,
    noUserNamespaces: undefined,
    ending: undefined,
  };
}

/** Runs it all: warm-up, cycles, kills, the end. Throws only where nothing more can be told. */
export async function soak(
  options: SoakOptions,
  found: SoakFindings,
  tell: (line: string) => void,
): Promise<void> {
  const inspectorPort = await freePort();
  const runc = await newerRuncOrReason();
  found.noUserNamespaces = runc.skip === false ? undefined : runc.skip;
  const handlers = runc.skip === false ? { newer: { binary_name: runc.binary } } : {};
  const bed = await openTestbed({
    logLevel: "warn",
    config: { runtime: { handlers } },
    env: { NODE_OPTIONS: inspectorOptions(inspectorPort) },
  });
  const run = new Soak(options, found, { bed, inspectorPort, tell });
  using _onSignal = disposeOnSignal(run);
  try {
    await run.all(runc.skip === false ? "newer" : undefined);
  } finally {
    await run[Symbol.asyncDispose]();
    await bed.finish().then(
      () => (found.ending = ""),
      (error: unknown) => (found.ending = String(error)),
    );
  }
}

interface Surroundings {
  readonly bed: Testbed;
  readonly inspectorPort: number;
  readonly tell: (line: string) => void;
}

class Soak implements AsyncDisposable {
  readonly #options: SoakOptions;
  readonly #found: SoakFindings;
  readonly #in: Surroundings;
  readonly #life: DaemonLife;
  readonly #startedAt = performance.now();
  readonly #lanes: readonly Lane[];
  readonly #random: Random;
  #running: Promise<unknown> = Promise.resolve();
  #isEnding = false;
  #cycles = 0;

  constructor(options: SoakOptions, found: SoakFindings, surroundings: Surroundings) {
    this.#options = options;
    this.#found = found;
    this.#in = surroundings;
    this.#life = new DaemonLife(surroundings.bed.daemon);
    this.#random = new Random(options.seed);
    const shared = { cri: surroundings.bed.cri, life: this.#life, ledger: found.ledger };
    this.#lanes = Array.from(
      { length: options.lanes },
      (_, number) => new Lane(number, shared, new Random(options.seed + 7919 * (number + 1))),
    );
  }

  async all(userNamespaces: string | undefined): Promise<void> {
    const { tell, bed } = this.#in;
    const { cycles, kills, points, lanes, seed } = this.#options;
    tell(`${cycles} cycles and ${kills} kills in ${lanes} lanes, --seed ${seed}`);
    await mkdir(path.join(bed.folder, "scratch"), { recursive: true });
    const yard = await makeYard(bed, lanes, userNamespaces);
    const progress = setInterval(() => this.#progress(), progressEveryMs);
    try {
      await this.#warmUp(yard);
      await this.#quietPoint(yard);
      for (const part of parts(cycles, points, 25)) {
        if (this.#isOver) return;
        const end = this.#cycles + part;
        await this.#work(yard, () => this.#cycles < end);
        await this.#quietPoint(yard);
      }
      for (const part of parts(kills, points, 10)) {
        if (this.#isOver) return;
        let isKilling = true;
        const work = this.#work(yard, () => isKilling);
        await this.#kill(part).finally(() => (isKilling = false));
        await work;
        await this.#quietPoint(yard);
      }
    } finally {
      clearInterval(progress);
      this.#found.seconds = this.#seconds;
    }
  }

  get #isOver(): boolean {
    const isLate = this.#seconds >= this.#options.minutes * 60;
    return isLate || this.#isEnding || this.#found.ledger.failures >= enoughFailures;
  }

  get #seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** Each kind twice, and all lanes at once: what is made at the first use is there then. */
  async #warmUp(yard: Yard): Promise<void> {
    const [first] = this.#lanes;
    if (!first) return;
    for (const kind of kindsOf(yard)) await this.#cycle(first, kind, yard);
    const end = this.#cycles + 2 * this.#lanes.length;
    await this.#work(yard, () => this.#cycles < end);
    this.#cycles = 0;
  }

  /** All lanes run cycles while there is a reason to. */
  async #work(yard: Yard, goesOn: () => boolean): Promise<void> {
    const lanes = this.#lanes.map(async (lane) => {
      while (goesOn() && !this.#isOver) {
        this.#cycles += 1;
        await this.#cycle(lane, chooseKind(lane, yard), yard);
      }
    });
    const work = Promise.all(lanes);
    this.#running = work;
    await work;
  }

  async #cycle(lane: Lane, kind: CycleKind, yard: Yard): Promise<void> {
    const { ledger, cycles } = this.#found;
    let isClean = false;
    try {
      await runCycle(kind, lane, yard);
      isClean = true;
    } catch (error) {
      if (!this.#isEnding) this.#broke(`${kind}, cycle ${this.#cycles}`, error);
    }
    cycles.set(kind, (cycles.get(kind) ?? 0) + 1);
    await lane.endCycle(isClean).catch((error: unknown) => {
      if (!this.#isEnding) ledger.note(`after ${kind}`, error);
    });
  }

  #broke(where: string, error: unknown): void {
    this.#found.ledger.note(where, error);
    this.#in.tell(`FAULT ${where}: ${error instanceof Error ? error.message : String(error)}`);
  }

  async #kill(count: number): Promise<void> {
    for (const end = this.#life.kills + count; this.#life.kills < end && !this.#isOver; ) {
      await sleep(this.#random.below(2500));
      await this.#life.kill(this.#random);
      this.#found.kills = this.#life.kills;
      this.#found.killsInStart = this.#life.killsInStart;
    }
  }

  /**
   * Counts what there is without pods. A thread or handle that comes with the first use of a thing has come:
   * a daemon that just started has to stream, to pull and to tell figures once, these last: their reader goes
   * when nobody has asked for a minute.
   */
  async #quietPoint(yard: Yard): Promise<void> {
    if (this.#isEnding) return;
    const { bed } = this.#in;
    const { ledger, points } = this.#found;
    const [first] = this.#lanes;
    if (first) await this.#cycle(first, "stream", yard);
    // A download that was cut short is kept for the next pull of its image: each lane pulls its own.
    for (const lane of this.#lanes) await this.#cycle(lane, "image", yard);
    if (first) await this.#cycle(first, "usual", yard);
    const { items } = await bed.cri.runtime.ListPodSandbox({});
    if (items.length > 0) {
      this.#broke(
        "quiet point",
        new Error(`pods are left: ${items.map(({ id }) => id).join(" ")}`),
      );
      await bed.cri.removeAllPods().catch((error: unknown) => ledger.note("quiet point", error));
    }
    const { census, memory } = await this.#settled();
    points.push({
      cycles: this.#cycles,
      kills: this.#life.kills,
      seconds: this.#seconds,
      pid: bed.daemon.pid(),
      census,
      rss: memory.rss,
      live: memory.live,
    });
    for (const [name, [was, is]] of differences(points[0]?.census ?? census, census)) {
      this.#in.tell(`GROWN ${name}: ${was}, now ${is} (${this.#where})`);
    }
  }

  /** Waits until all is as at the first point, but for what was not at the last one either. */
  async #settled(): Promise<{ readonly census: Census; readonly memory: Memory }> {
    const { bed, inspectorPort } = this.#in;
    const { points, ledger } = this.#found;
    const place = { daemon: bed.daemon, ledger, scratch: path.join(bed.folder, "scratch") };
    const [first] = points;
    const last = points.at(-1);
    const known = new Set(first && last ? differences(first.census, last.census).keys() : []);
    let before: Census | undefined;
    let sameSince = performance.now();
    /** The first point has nothing to be held against: it must stay as it is for a while. */
    const isSettled = (census: Census, objects: Memory["objects"]): boolean => {
      if (first) {
        const now = new Map([...census, ...objects]);
        return [...differences(first.census, now).keys()].every((name) => {
          return known.has(name) || (objects.size === 0 && groupOf(name) === objectGroup);
        });
      }
      if (!before || differences(before, census).size > 0) sameSince = performance.now();
      before = census;
      return performance.now() - sameSince >= firstStaysMs;
    };
    let now: { readonly census: Census; readonly memory: Memory } | undefined;
    await takeMemory(bed.daemon, inspectorPort); // opens what the inspector has open from then on
    const end = performance.now() + settleMs;
    for (let isLast = false; !isLast; await sleep(settleEveryMs)) {
      isLast = performance.now() >= end;
      const census = await takeCensus(place);
      if (!isSettled(census, new Map()) && !isLast) continue;
      const memory = await takeMemory(bed.daemon, inspectorPort);
      now = { census: new Map([...census, ...memory.objects]), memory };
      if (!first || isSettled(census, memory.objects)) break; // what has not settled is told by who compares
    }
    if (!now) throw new Error("nothing could be counted");
    return now;
  }

  get #where(): string {
    return `${this.#cycles} cycles, ${this.#life.kills} kills`;
  }

  #progress(): void {
    const rss = processInfo(this.#in.bed.daemon.pid())?.rssBytes ?? 0;
    const { ledger, points } = this.#found;
    this.#in.tell(
      `${this.#seconds.toFixed(0).padStart(6)} s  ${this.#where}, ${ledger.failures} faults, ` +
        `${points.length} quiet points, RSS ${(rss / 2 ** 20).toFixed(0)} MiB`,
    );
  }

  /** Lets the lanes end their cycles. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await this.#running.catch(() => {});
  }
}

/** Cuts `total` into at most `points` parts of at least `least`. */
function parts(total: number, points: number, least: number): number[] {
  const count = Math.max(1, Math.min(points, Math.floor(total / least)));
  return Array.from({ length: count }, (_, index) => {
    return Math.round((total * (index + 1)) / count) - Math.round((total * index) / count);
  }).filter((part) => part > 0);
}

async function makeYard(
  bed: Testbed,
  lanes: number,
  userNamespaces: string | undefined,
): Promise<Yard> {
  const base = await shellLayer();
  const own: string[] = [];
  for (let lane = 0; lane < lanes; lane += 1) {
    const layer = [{ path: "own", content: `image of lane ${lane}\n` }];
    const recipe = { config: { Env: ["PATH=/bin"] }, layers: [base, layer] };
    own.push(await pullRecipe(bed, `lane${lane}`, recipe));
  }
  for (const image of own) await bed.cri.images.RemoveImage({ image: { image } });
  return {
    shell: bed.images.shell.reference,
    userNamespaces,
    ownImage: (lane) => own[lane] ?? "",
  };
}
