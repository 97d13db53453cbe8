// SPDX-License-Identifier: Apache-2.0
import { silentLogger } from "../../src/base/logger.ts";
import type { RemovesTrees, TreeWork } from "../../src/trees/ports.ts";
import { TreeRemover } from "../../src/trees/tree-remover.ts";
import { TreeWorker } from "../../src/trees/tree-worker.ts";

/** The real ones. Their thread ends soon after its last job, so nobody has to dispose of them. */
export function testTrees(): { readonly remover: RemovesTrees; readonly work: TreeWork } {
  const log = silentLogger;
  const work = new TreeWorker({ name: "berth-trees", log, niceness: 0, idleMs: 100 });
  return { remover: new TreeRemover({ work, log }), work };
}
