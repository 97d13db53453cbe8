// SPDX-License-Identifier: Apache-2.0

/** What the lanes check; each is one line of the result. */
export const promises = {
  calls: "no call fails that nobody broke",
  ids: "no id is given twice",
  status: "statuses and lists tell what is",
  exits: "exit codes are what they were, and stay",
  addresses: "no two pods have one address",
  logs: "logs hold every line once, in order",
  stats: "stats name the container and its use",
  removal: "what was removed is gone",
} as const;

export type Promised = keyof typeof promises;

/** Thrown by a lane whose daemon broke a promise. */
export class Broken extends Error {
  readonly promised: Promised;

  constructor(promised: Promised, message: string) {
    super(message);
    this.promised = promised;
  }
}

const remembered = 20;

/** What all lanes know together: ids and addresses in use, checks made, promises broken. */
export class Ledger {
  readonly ids = new Set<string>();
  readonly sandboxes = new Set<string>();
  readonly checks = new Map<Promised, number>();
  /** How often each promise was broken, and the first words about it. */
  readonly broken = new Map<Promised, { count: number; readonly words: string[] }>();
  readonly #addresses = new Map<string, string>();

  takeId(id: string, kind: "sandbox" | "container"): void {
    this.check("ids", !this.ids.has(id), () => `id ${id} was given before`);
    this.ids.add(id);
    if (kind === "sandbox") this.sandboxes.add(id);
  }

  /** From RunPodSandbox's answer until StopPodSandbox is asked for. */
  takeAddress(ip: string, pod: string): void {
    const holder = this.#addresses.get(ip);
    this.check("addresses", holder === undefined, () => `pods ${holder} and ${pod} have ${ip}`);
    this.#addresses.set(ip, pod);
  }

  giveAddress(ip: string, pod: string): void {
    if (this.#addresses.get(ip) === pod) this.#addresses.delete(ip);
  }

  /** Throws Broken, which its lane notes, unless it holds. */
  check(promised: Promised, holds: boolean, words: () => string): void {
    this.checks.set(promised, (this.checks.get(promised) ?? 0) + 1);
    if (!holds) throw new Broken(promised, words());
  }

  /** Compares as JSON; bigints as their digits. */
  equal(promised: Promised, what: string, is: unknown, should: unknown): void {
    this.check(promised, text(is) === text(should), () => {
      return `${what}: is ${text(is)}, should be ${text(should)}`;
    });
  }

  note(where: string, error: unknown): void {
    const promised = error instanceof Broken ? error.promised : "calls";
    const entry = this.broken.get(promised) ?? { count: 0, words: [] };
    entry.count += 1;
    const words = error instanceof Broken ? error.message : String(error);
    if (entry.words.length < remembered) entry.words.push(`${where}: ${words}`);
    this.broken.set(promised, entry);
  }

  get failures(): number {
    return [...this.broken.values()].reduce((sum, { count }) => sum + count, 0);
  }
}

function text(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "bigint" ? String(inner) : inner,
  );
}
