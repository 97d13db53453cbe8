// SPDX-License-Identifier: Apache-2.0
import type { NodeState } from "../../../src/nri/ports.ts";
import { PluggedNode } from "../nri/plugged-node.ts";
import { FakeWorld } from "./fake-world.ts";

/** A façade over fakes, with plugins that speak NRI. */
export async function pluggedWorld(): Promise<
  AsyncDisposable & { node: PluggedNode; world: FakeWorld }
> {
  const nodeState = (): NodeState => world.runtime.nodeState;
  const node = new PluggedNode({
    state: {
      pods: () => nodeState().pods(),
      containers: () => nodeState().containers(),
      hasContainer: (id) => nodeState().hasContainer(id),
      update: (...asked) => nodeState().update(...asked),
      evict: (...asked) => nodeState().evict(...asked),
    },
  });
  const world: FakeWorld = await FakeWorld.create(node.plugins);
  const end = async (): Promise<void> => {
    await world[Symbol.asyncDispose]();
    node[Symbol.dispose]();
  };
  return { node, world, [Symbol.asyncDispose]: end };
}
