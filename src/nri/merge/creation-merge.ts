// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type {
  Container,
  ContainerAdjustment,
  ContainerUpdate,
  CreateContainerRequest,
  CreateContainerResponse,
  OwningPlugins,
} from "../messages.ts";
import { AnswerBudget } from "./answer-budget.ts";
import { checkAdjustment } from "./check-adjustment.ts";
import { FieldClaims } from "./field-claims.ts";
import { mergeAdjustment } from "./merge-adjustment.ts";
import { adjustmentMessage, type MergedAdjustment, noAdjustment } from "./merged-adjustment.ts";
import { UpdateMerge } from "./update-merge.ts";

export interface MergedCreation {
  /** Undefined when no plugin wanted anything. */
  readonly adjust: ContainerAdjustment | undefined;
  readonly updates: readonly ContainerUpdate[];
  /** Who has set what, of this container and of those that are updated; "-" before who has only removed it. */
  readonly owners: OwningPlugins | undefined;
}

/**
 * What several plugins, asked one after the other, want of a container that is to be. Each field, and each key of a field,
 * has one owner; hooks and device rules are added to. Who removes a key that another has set may set it anew.
 *
 * What differs from v0.12.5 of the NRI module:
 * - A bare removal of an environment variable or a device reaches the spec; the module only hides it from later plugins.
 * - A bare removal of an annotation or a sysctl that another plugin has set takes that away; the module keeps both, in
 *   any order. So does a removal together with a new value: here the new value holds.
 * - A bare removal is told in the owners, with "-" before the plugin's name; the module tells it for some fields only.
 * - `rdt.remove` together with other fields of rdt clears what the container had before these are set; the module forgets the removal.
 * - A huge page limit or an rlimit replaces that of the same kind; the module appends a second one, which runtimes refuse.
 * - A field that no runtime could follow (a hook without a path, an unknown value of an enum) is refused here, with the
 *   plugin's name, and not by the runtime.
 */
export class CreationMerge {
  readonly #id: string;
  readonly #budget = new AnswerBudget();
  readonly #updates: UpdateMerge;
  #request: CreateContainerRequest;
  #merged: MergedAdjustment = noAdjustment;
  #claims = new FieldClaims();

  constructor(request: CreateContainerRequest) {
    this.#request = request;
    this.#id = containerOf(request).id;
    this.#updates = new UpdateMerge(undefined, { id: this.#id, budget: this.#budget });
  }

  /** As the next plugin sees it: with all that is set so far, but for CDI devices, memory policy and RDT. */
  get request(): CreateContainerRequest {
    return this.#request;
  }

  /**
   * Adds what one plugin answered. FAILED_PRECONDITION, with its name, when another plugin has set the same, when a field
   * is no good or there is too much of it, and for an update or eviction of the container that is being made.
   */
  add(plugin: string, { adjust, update, evict }: CreateContainerResponse): void {
    const commit = adjust === null ? undefined : this.#adjust(plugin, adjust);
    this.#updates.add(plugin, update, evict);
    commit?.();
  }

  result(): MergedCreation {
    const claims = this.#updates.claims();
    if (!this.#claims.isEmpty) claims.set(this.#id, this.#claims);
    const owners = [...claims].map(([id, each]) => [id, each.message()] as const);
    // Device rules have no owner.
    const isAdjusted = !this.#claims.isEmpty || this.#merged.resources.devices.length > 0;
    return {
      adjust: isAdjusted ? adjustmentMessage(this.#merged) : undefined,
      updates: this.#updates.result().updates,
      owners: owners.length === 0 ? undefined : { owners: Object.fromEntries(owners) },
    };
  }

  /** Answers what makes it so: an answer counts as a whole, or not at all. */
  #adjust(plugin: string, adjust: ContainerAdjustment): () => void {
    this.#budget.take(plugin, adjust, "adjust");
    checkAdjustment(plugin, adjust);
    const claims = this.#claims.copy();
    const { merged, container } = mergeAdjustment(
      { merged: this.#merged, container: containerOf(this.#request) },
      adjust,
      { plugin, claims },
    );
    return () => {
      this.#merged = merged;
      this.#claims = claims;
      this.#request = { ...this.#request, container };
    };
  }
}

function containerOf({ container }: CreateContainerRequest): Container {
  if (container === null) throw fault("INTERNAL", "a CreateContainer of NRI has no container");
  return container;
}
