// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../../base/errors.ts";
import type {
  ContainerEviction,
  ContainerUpdate,
  LinuxResources,
  UpdateContainerRequest,
} from "../messages.ts";
import type { UpdateOutcome } from "../ports.ts";
import { AnswerBudget } from "./answer-budget.ts";
import { badAnswer } from "./bad-answer.ts";
import { checkResources } from "./check-resources.ts";
import { FieldClaims } from "./field-claims.ts";
import { claimResources, noResources, withResources } from "./merge-resources.ts";

interface Target {
  readonly claims: FieldClaims;
  /** What plugins want of it; undefined as long as all that was asked for has failed, or said nothing. */
  readonly resources: LinuxResources | undefined;
  readonly ignoreFailure: boolean;
}

/**
 * New limits of containers that exist, as several plugins want them: in answer to UpdateContainer, with its request; to
 * StopContainer and CreateContainer (creation-merge.ts), without one. Each limit of each container has one owner.
 *
 * What differs from v0.12.5 of the NRI module:
 * - The limit of processes is the one that the plugin gives; the module looks for it in the request.
 * - A huge page limit replaces that of the same size; the module appends a second one.
 * - An update that is passed over (`ignore_failure`) claims nothing; in the module it keeps what it claimed before its conflict.
 * Device rules of an update are not applied, as there: no OCI runtime changes them.
 */
export class UpdateMerge {
  readonly #creating: string | undefined;
  readonly #budget: AnswerBudget;
  #request: UpdateContainerRequest | undefined;
  #targets = new Map<string, Target>();

  constructor(
    request: UpdateContainerRequest | undefined,
    creating?: { readonly id: string; readonly budget: AnswerBudget },
  ) {
    this.#request = request;
    this.#creating = creating?.id;
    this.#budget = creating?.budget ?? new AnswerBudget();
  }

  /** As the next plugin sees it. */
  get request(): UpdateContainerRequest | undefined {
    return this.#request;
  }

  /**
   * Adds what one plugin answered, all of it or nothing. FAILED_PRECONDITION for what conflicts with another plugin's and
   * must not be passed over, for limits that are none, and for the container that is being made. Evictions are only looked at.
   */
  add(
    plugin: string,
    updates: readonly ContainerUpdate[],
    evictions: readonly ContainerEviction[] = [],
  ): void {
    this.#budget.take(plugin, updates, "update");
    this.#budget.take(plugin, evictions, "evict");
    for (const { containerId: id } of evictions) this.#refuseCreating(plugin, "eviction", id);
    const targets = new Map(this.#targets);
    for (const [at, update] of updates.entries()) {
      this.#addTo(targets, plugin, update, `update[${at}]`);
    }
    this.#targets = targets;
    if (this.#request === undefined) return;
    const resources = targets.get(this.#requested ?? "")?.resources;
    if (resources !== undefined) this.#request = { ...this.#request, linuxResources: resources };
  }

  result(): UpdateOutcome {
    const updates: ContainerUpdate[] = [];
    for (const [containerId, { resources, ignoreFailure }] of this.#targets) {
      if (containerId === this.#requested || resources === undefined) continue;
      updates.push({ containerId, linux: { resources }, ignoreFailure });
    }
    return { resources: this.#targets.get(this.#requested ?? "")?.resources, updates };
  }

  /** Who has set what, by the containers' ids. */
  claims(): Map<string, FieldClaims> {
    return new Map([...this.#targets].map(([id, { claims }]) => [id, claims]));
  }

  get #requested(): string | undefined {
    return this.#request?.container?.id;
  }

  #refuseCreating(plugin: string, what: string, id: string): void {
    if (id !== this.#creating) return;
    throw fault(
      "FAILED_PRECONDITION",
      `plugin ${JSON.stringify(plugin)} asked ${what} of ${JSON.stringify(id)} during creation`,
    );
  }

  #addTo(
    targets: Map<string, Target>,
    plugin: string,
    { containerId: id, linux, ignoreFailure }: ContainerUpdate,
    field: string,
  ): void {
    if (id === "") throw badAnswer(plugin, `${field}.container_id`, "it is empty");
    this.#refuseCreating(plugin, "update", id);
    const given = linux?.resources;
    if (!given) return;
    const old = targets.get(id);
    const claims = old?.claims.copy() ?? new FieldClaims();
    try {
      checkResources(plugin, given, `${field}.linux.resources`);
      claimResources(plugin, given, claims);
    } catch (error) {
      if (ignoreFailure && isFault(error, "FAILED_PRECONDITION")) return;
      throw error;
    }
    const isRequested = id === this.#requested;
    const before = isRequested ? this.#request?.linuxResources : undefined;
    targets.set(id, {
      claims,
      resources: withResources(old?.resources ?? before ?? noResources, given),
      ignoreFailure: ignoreFailure && (old?.ignoreFailure ?? true),
    });
  }
}
