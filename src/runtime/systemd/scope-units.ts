// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { fault, isFault, type RuntimeFault } from "../../base/errors.ts";
import { parseCgroups } from "../../base/os/proc-cgroup.ts";
import { type OneTimer, startTimer } from "../../base/timers.ts";
import { settlesWithin, unlessAborted } from "../../base/waits.ts";
import type { ScopeName } from "../../oci/scope-name.ts";
import { type BusAnswer, BusConnection, type BusPlace } from "./bus-connection.ts";
import type { DbusMessage } from "./dbus-message.ts";
import {
  array,
  boolean,
  type DbusValue,
  string,
  struct,
  uint32,
  uint64,
  variant,
} from "./dbus-values.ts";

const manager = {
  destination: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
};
const bus = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
};
const removedJobs = `type='signal',sender='${manager.destination}',path='${manager.path}',interface='${manager.interface}',member='JobRemoved'`;
const unitExists = "org.freedesktop.systemd1.UnitExists";
const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";

/** The system's bus, and systemd's own socket where there is no bus. */
const places: readonly BusPlace[] = [
  { path: "/run/dbus/system_bus_socket", isBus: true },
  { path: "/run/systemd/private", isBus: false },
];
/** systemd may be in the middle of a reload, which takes seconds on a large node. */
const answerMs = 30_000;
/** How often it is looked whether a job is done whose end nobody tells. */
const lookEveryMs = 1_000;
/** A connection is kept from one pod to the next; each costs the bus, and brings the jobs of others. */
const restMs = 10_000;
/** Ends of jobs that come before the answer which names the job; more of one unit there cannot be. */
const mostEnds = 16;

export interface NewScope extends ScopeName {
  /** The process that is to be in it from the start. */
  readonly pid: number;
  /** A share of processor time as v1 counts it. */
  readonly shares: number | undefined;
  /** Whether cgroups are v2's. */
  readonly isUnified: boolean;
}

/** Both for tests alone. */
export interface ScopeUnitsOptions {
  readonly places?: readonly BusPlace[];
  readonly isIn?: (pid: number, unit: string) => Promise<boolean>;
}

interface Job {
  readonly member: string;
  readonly unit: string;
  readonly body: readonly DbusValue[];
  /** Whether what the job is for has come about, for a signal that does not come. */
  readonly isThere?: () => Promise<boolean>;
}

/** Transient scopes of systemd's: cgroups that it makes and keeps, for processes that others have started. */
export class ScopeUnits implements Disposable {
  readonly #places: readonly BusPlace[];
  readonly #isIn: (pid: number, unit: string) => Promise<boolean>;
  /** By unit: the ends of its jobs, and who waits for one. */
  readonly #jobs = new Map<string, { readonly ends: Map<string, string>; told: () => void }>();
  #connection: Promise<BusConnection> | undefined;
  #users = 0;
  #rest: OneTimer | undefined;

  constructor(options: ScopeUnitsOptions = {}) {
    this.#places = options.places ?? places;
    this.#isIn = options.isIn ?? isIn;
  }

  /**
   * Makes a scope with the process in it, and its slice where that is not there. It goes with its last process, failed
   * or not. UNAVAILABLE without systemd, FAILED_PRECONDITION where it refuses.
   */
  async start(scope: NewScope, call: Cancellable): Promise<void> {
    const { unit, pid } = scope;
    const body = [
      string(unit),
      string("replace"),
      array(propertyType, propertiesOf(scope)),
      array({ signature: "(sa(sv))", alignment: 8 }, []),
    ];
    using limit = deadline(answerMs, `systemd's start of scope "${unit}"`, call.signal);
    const isThere = (): Promise<boolean> => this.#isIn(pid, unit);
    const begin = (): Promise<BusAnswer> =>
      this.#job({ member: "StartTransientUnit", unit, body, isThere }, limit);
    let answer = await begin();
    if (answer.error?.name === unitExists) {
      // An answer that was lost, or one of this name that has failed and was never cleared away.
      if (await this.#isIn(pid, unit)) return;
      await this.#ask("ResetFailedUnit", [string(unit)], limit);
      answer = await begin();
    }
    if (answer.error !== undefined) throw refused(`cannot start scope "${unit}"`, answer.error);
    if (await this.#isIn(pid, unit)) return;
    const [result] = answer.values;
    throw fault(
      "FAILED_PRECONDITION",
      `systemd did not put process ${pid} into scope "${unit}": its job is ${String(result).slice(0, 100)}`,
    );
  }

  /** Ends a scope, failed or not; one that is gone is. */
  async stop(unit: string, call: Cancellable): Promise<void> {
    using limit = deadline(answerMs, `systemd's stop of scope "${unit}"`, call.signal);
    const body = [string(unit), string("replace")];
    const { error } = await this.#job({ member: "StopUnit", unit, body }, limit);
    if (error?.name === noSuchUnit) return;
    if (error !== undefined) throw refused(`cannot stop scope "${unit}"`, error);
    await this.#ask("ResetFailedUnit", [string(unit)], limit); // most are gone by then
  }

  [Symbol.dispose](): void {
    this.#rest?.stop();
    void this.#close();
  }

  /** Asks for a job and waits for its end. Answers its result, or systemd's refusal. */
  async #job({ member, unit, body, isThere }: Job, call: Cancellable): Promise<BusAnswer> {
    return this.#using(async (connection) => {
      const ends = new Map<string, string>();
      let wake = Promise.withResolvers<void>();
      const entry = { ends, told: () => wake.resolve() };
      this.#jobs.set(unit, entry);
      try {
        const answer = await connection.call({ ...manager, member, body }, call);
        const [job] = answer.values;
        if (answer.error !== undefined || typeof job !== "string") return answer;
        for (;;) {
          const result = ends.get(job);
          if (result !== undefined) return { values: [result], error: undefined };
          const told = Promise.race([wake.promise, connection.closed]);
          const isTold = await settlesWithin(told, lookEveryMs, call.signal);
          if (connection.isClosed) throw fault("UNAVAILABLE", "D-Bus connection is closed");
          if (isTold) wake = Promise.withResolvers<void>();
          else if (await isThere?.()) {
            // A systemd that has started itself anew signals under another name: the next call greets it again.
            void this.#close();
            return { values: ["done"], error: undefined };
          }
        }
      } finally {
        if (this.#jobs.get(unit) === entry) this.#jobs.delete(unit);
      }
    }, call);
  }

  #ask(member: string, body: readonly DbusValue[], call: Cancellable): Promise<BusAnswer> {
    return this.#using((connection) => connection.call({ ...manager, member, body }, call), call);
  }

  /** A connection that turns out to be gone, since the bus was started anew, is replaced once. */
  async #using<T>(
    work: (connection: BusConnection) => Promise<T>,
    { signal }: Cancellable,
  ): Promise<T> {
    this.#users += 1;
    this.#rest?.stop();
    try {
      const before = this.#connection;
      try {
        return await work(await unlessAborted(this.#connected(), signal));
      } catch (error) {
        if (before === undefined || !isFault(error, "UNAVAILABLE")) throw error;
      }
      return await work(await unlessAborted(this.#connected(), signal));
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#rest = startTimer(() => void this.#close(), restMs).unref();
    }
  }

  async #connected(): Promise<BusConnection> {
    const latest = this.#connection;
    const connection = await latest?.catch(() => undefined);
    if (connection?.isClosed === false) return connection;
    // Of several who find it gone, the first makes the next.
    if (this.#connection === latest || this.#connection === undefined)
      this.#connection = this.#connect();
    return this.#connection;
  }

  async #connect(): Promise<BusConnection> {
    using limit = deadline(answerMs, "connecting to systemd");
    let failure: RuntimeFault | undefined;
    for (const place of this.#places) {
      try {
        return await this.#greet(place, limit);
      } catch (error) {
        if (!isFault(error, "UNAVAILABLE")) throw error;
        failure ??= error;
      }
    }
    throw failure ?? fault("UNAVAILABLE", "there is no systemd to connect to");
  }

  async #greet(place: BusPlace, call: Cancellable): Promise<BusConnection> {
    // The bus's name for systemd: others may send signals too.
    let systemd = "";
    const onSignal = (signal: DbusMessage): void => {
      if (!place.isBus || (signal.sender !== "" && signal.sender === systemd)) this.#heard(signal);
    };
    using undo = new DisposableStack();
    const connection = undo.use(await BusConnection.open(place, onSignal, call));
    if (place.isBus) {
      const ask = (member: string, ...body: DbusValue[]): Promise<BusAnswer> =>
        connection.call({ ...bus, member, body }, call);
      const answers = await Promise.all([
        ask("Hello"),
        ask("GetNameOwner", string(manager.destination)),
        ask("AddMatch", string(removedJobs)),
      ]);
      for (const { error } of answers)
        if (error !== undefined) throw fault("UNAVAILABLE", `bus refuses: ${error.text}`);
      systemd = String(answers[1].values[0]);
    }
    undo.move();
    return connection;
  }

  #heard({ path, member, interface: from, body }: DbusMessage): void {
    if (path !== manager.path || from !== manager.interface || member !== "JobRemoved") return;
    const [, job, unit, result] = body;
    const waiting = typeof unit === "string" ? this.#jobs.get(unit) : undefined;
    if (waiting === undefined || typeof job !== "string" || waiting.ends.size === mostEnds) return;
    waiting.ends.set(job, String(result));
    waiting.told();
  }

  async #close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    (await connection?.catch(() => undefined))?.[Symbol.dispose]();
  }
}

const propertyType = { signature: "(sv)", alignment: 8 } as const;

/** As OCI runtimes make the scope of a container that may use no device. */
function propertiesOf({ unit, slice, pid, shares, isUnified }: NewScope): DbusValue[] {
  const property = (name: string, value: DbusValue): DbusValue =>
    struct(string(name), variant(value));
  const properties = [
    property("Description", string(`sandbox of a pod: ${unit}`)),
    property("Slice", string(slice)),
    property("PIDs", array({ signature: "u", alignment: 4 }, [uint32(pid)])),
    property("Delegate", boolean(true)),
    property("DefaultDependencies", boolean(false)),
    property("CollectMode", string("inactive-or-failed")),
    property("DevicePolicy", string("strict")),
  ];
  const counted = ["Memory", "CPU", isUnified ? "IO" : "BlockIO", "Tasks"];
  for (const name of counted) properties.push(property(`${name}Accounting`, boolean(true)));
  if (shares !== undefined) {
    properties.push(
      isUnified
        ? property("CPUWeight", uint64(BigInt(weightOf(shares))))
        : property("CPUShares", uint64(BigInt(Math.min(Math.max(shares, 2), 262_144)))),
    );
  }
  return properties;
}

/** runc's way from 2…262144 to 1…10000. */
function weightOf(shares: number): number {
  const weight = 1 + Math.floor(((shares - 2) * 9999) / 262_142);
  return Math.min(Math.max(weight, 1), 10_000);
}

async function isIn(pid: number, unit: string): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
  return parseCgroups(text).some(({ place }) => place.endsWith(`/${unit}`));
}

function refused(what: string, { name, text }: { readonly name: string; readonly text: string }) {
  return fault("FAILED_PRECONDITION", `${what}: systemd says ${text === "" ? name : text}`);
}
