// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../base/logger.ts";
import type { RemovesTrees, TreeWork } from "./ports.ts";
import { TreeRemover } from "./tree-remover.ts";
import { TreeWorker } from "./tree-worker.ts";

/** What deals with trees that others made. */
export interface Trees extends AsyncDisposable {
  readonly remover: RemovesTrees;
  /** Measures. Not in the removals' thread: a figure that a kubelet evicts by does not wait for those. */
  readonly work: TreeWork;
}

/** Nothing runs before there is work. */
export function createTrees(log: Logger): Trees {
  const removals = new TreeWorker({ name: "berth-remover", log, niceness: 10 });
  const work = new TreeWorker({ name: "berth-meter", log, niceness: 5 });
  const remover = new TreeRemover({ work: removals, log });
  return {
    remover,
    work,
    [Symbol.asyncDispose]: async () => {
      remover[Symbol.dispose]();
      await Promise.all([removals[Symbol.asyncDispose](), work[Symbol.asyncDispose]()]);
    },
  };
}
