// SPDX-License-Identifier: Apache-2.0
import { badAnswer } from "./bad-answer.ts";

export interface BudgetLimits {
  /** Elements of lists, fields and texts. */
  readonly values: number;
  readonly characters: number;
  /** What has that much, and the verb: "the message has". */
  readonly of: string;
}

/** Of all that plugins answer to one request: a large seccomp policy has a few thousand values. */
const answerLimits: BudgetLimits = {
  values: 65_536,
  characters: 2 * 1024 * 1024,
  of: "all answers together have",
};

/** What plugins may say in one piece: all of it goes through the main thread, and into a spec or record. */
export class AnswerBudget {
  readonly #limits: BudgetLimits;
  #values: number;
  #characters: number;

  constructor(limits = answerLimits) {
    this.#limits = limits;
    this.#values = limits.values;
    this.#characters = limits.characters;
  }

  /**
   * Takes one answer's share. FAILED_PRECONDITION, with the field where it ends, for one that holds too much; also for a
   * text with a NUL, which neither files nor processes can have.
   */
  take(plugin: string, answer: unknown, field: string): void {
    if (typeof answer === "string") this.#takeText(plugin, answer, field);
    else if (Array.isArray(answer)) this.#takeList(plugin, answer, field);
    else if (typeof answer === "object" && answer !== null) {
      for (const [key, value] of Object.entries(answer)) {
        if (value === null) continue;
        const at = `${field}.${key}`;
        this.#takeText(plugin, key, at);
        this.take(plugin, value, at);
      }
    }
  }

  #takeList(plugin: string, list: readonly unknown[], field: string): void {
    this.#values -= list.length;
    this.#check(plugin, field);
    for (const [at, value] of list.entries()) this.take(plugin, value, `${field}[${at}]`);
  }

  #takeText(plugin: string, text: string, field: string): void {
    this.#values -= 1;
    this.#characters -= text.length;
    this.#check(plugin, field);
    if (text.includes("\0")) throw badAnswer(plugin, field, "it has a NUL character");
  }

  #check(plugin: string, field: string): void {
    const { values, characters, of } = this.#limits;
    if (this.#values < 0) throw badAnswer(plugin, field, `${of} more than ${values} entries`);
    if (this.#characters < 0) {
      throw badAnswer(plugin, field, `${of} more than ${characters} characters`);
    }
  }
}
