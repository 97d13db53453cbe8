// SPDX-License-Identifier: Apache-2.0
import type { ContainerConfig, LinuxContainerResources, PodSandboxConfig } from "../gen/cri.gen.ts";
import type { OciSpec } from "../oci/spec.ts";
import type { Operation } from "./lifecycle/operation.ts";
import type { ContainerRecord } from "./store/container-record.ts";
import type { SandboxRecord } from "./store/sandbox-record.ts";

/** What one plugin has changed of a spec. */
export interface SpecChange {
  /** The plugin's name; of an NRI plugin with its index, `10-pinning`. */
  readonly by: string;
  /** Parts of the spec, `process.env`; of an NRI plugin NRI's names with their keys, `Env PATH`. */
  readonly fields: readonly string[];
}

/** What a review leaves. */
export interface Reviewed {
  readonly spec: OciSpec;
  readonly changes: readonly SpecChange[];
}

export interface ReviewedContainer extends Reviewed {
  /** Of the limits those that the reviewer has set: later updates begin with them. Absent when it has set none. */
  readonly limits?: LinuxContainerResources | undefined;
}

export interface SandboxSubject {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly spec: OciSpec;
}

export interface ContainerSubject {
  readonly id: string;
  readonly sandbox: { readonly id: string; readonly config: PodSandboxConfig };
  readonly config: ContainerConfig;
  readonly spec: OciSpec;
  /** The pod as it is known. */
  readonly pod: SandboxRecord;
  /** What is going to be stored of the container, were it made by its spec now. */
  readonly draft: () => ContainerRecord;
}

/**
 * One kind of those who have a say on what is created: the operator's JavaScript plugins, and behind them the node's NRI
 * plugins. Each gets the spec as the one before has left it, and answers the one to use. FAILED_PRECONDITION for a veto.
 */
export interface SpecReviewer {
  /** What its part of an operation is called; undefined while it has nobody to ask. */
  readonly stage: string | undefined;
  sandbox?(subject: SandboxSubject, op: Operation): Promise<Reviewed>;
  /** What is to be given back once the container is shown, or its making has failed, goes into `held`. */
  container(
    subject: ContainerSubject,
    op: Operation,
    held: DisposableStack,
  ): Promise<ReviewedContainer>;
}

export async function reviewSandbox(
  reviewers: readonly SpecReviewer[],
  subject: SandboxSubject,
  op: Operation,
): Promise<Reviewed> {
  let reviewed: Reviewed = { spec: subject.spec, changes: [] };
  for (const reviewer of reviewers) {
    if (!reviewer.sandbox) continue;
    const { spec } = reviewed;
    const ask = async () => reviewer.sandbox?.({ ...subject, spec }, op);
    const answer = await staged(reviewer, op, ask);
    if (answer) reviewed = { spec: answer.spec, changes: [...reviewed.changes, ...answer.changes] };
  }
  return reviewed;
}

export async function reviewContainer(
  reviewers: readonly SpecReviewer[],
  { spec, subject }: { spec: OciSpec; subject: (spec: OciSpec) => ContainerSubject },
  op: Operation,
  held: DisposableStack,
): Promise<ReviewedContainer> {
  let reviewed: ReviewedContainer = { spec, changes: [] };
  for (const reviewer of reviewers) {
    const before = reviewed;
    const ask = () => reviewer.container(subject(before.spec), op, held);
    const answer = await staged(reviewer, op, ask);
    reviewed = {
      spec: answer.spec,
      changes: [...before.changes, ...answer.changes],
      limits: answer.limits ?? before.limits,
    };
  }
  return reviewed;
}

function staged<T>({ stage }: SpecReviewer, op: Operation, ask: () => Promise<T>): Promise<T> {
  return stage === undefined ? ask() : op.run(stage, ask);
}
