// SPDX-License-Identifier: Apache-2.0
import { silentLogger } from "../../../src/base/logger.ts";
import { createClient } from "../../../src/client/client.ts";
import type { Client, Container } from "../../../src/client/ports.ts";
import type {
  ContainersContainer,
  ContainersContainerInit,
} from "../../../src/gen/containers.gen.ts";
import { MirroredStore } from "../../../src/metadata/mirrored-store.ts";
import type { MetadataStore } from "../../../src/metadata/ports.ts";
import { containersTable } from "../../../src/metadata/records.ts";
import { inProcessClient } from "../../../src/rpc/in-process.ts";
import { type FakeCall, FakeRuntime, type FakeTask } from "../fake-runtime.ts";
import { fakeServices } from "../services.ts";
import { kindOfContainer, MemoryRows } from "./memory-rows.ts";
import type { Steps } from "./steps.ts";

/**
 * The client library over the services that the daemon has, with a fake runtime and rows in memory
 * below them; and what tests look at. What reaches the runtime is a step: `create KIND`, `start
 * KIND`, `kill KIND SIGNAL`, and so on, the kind of an exec being "exec".
 */
export class TestClient implements Client {
  readonly namespace = "k8s.io";
  readonly runtime: FakeRuntime;
  readonly rows: MemoryRows;
  #metadata: MetadataStore;
  #client: Client;

  constructor(steps: Steps) {
    this.rows = new MemoryRows(steps);
    this.runtime = new FakeRuntime({
      before: (call) => steps.run(this.#stepOf(call)),
      runsAnything: true,
    });
    this.runtime.onTask = (task) => {
      task.onExec = (process) => process.end(0);
    };
    [this.#metadata, this.#client] = this.#open();
  }

  get metadata(): MetadataStore {
    return this.#metadata;
  }

  /** The records of all containers and sandboxes, as stored. */
  get records(): ReadonlyMap<string, ContainersContainer> {
    const records = containersTable(this.#metadata).list(this.namespace);
    return new Map(records.map((record) => [record.id, record]));
  }

  get tasks(): ReadonlyMap<string, FakeTask> {
    return new Map(this.runtime.list(this.namespace).map((task) => [task.id, task]));
  }

  /** The task of the one container or sandbox of this kind. */
  taskOf(kind: "sandbox" | "container"): FakeTask {
    for (const [id, task] of this.tasks) {
      if (kindOfContainer(this.records.get(id)) === kind) return task;
    }
    throw new Error(`no task of a ${kind}`);
  }

  newContainer(
    record: ContainersContainerInit,
    call = { signal: AbortSignal.timeout(60_000) },
  ): Promise<Container> {
    return this.#client.newContainer(record, call);
  }

  loadContainer(id: string, call = { signal: AbortSignal.timeout(60_000) }): Promise<Container> {
    return this.#client.loadContainer(id, call);
  }

  containers: Client["containers"] = (filters, call) => this.#client.containers(filters, call);

  /** Opens the stored rows anew, as a daemon that starts again does. Tasks go on. */
  async reopen(): Promise<void> {
    await this.#metadata[Symbol.asyncDispose]();
    [this.#metadata, this.#client] = this.#open();
  }

  #open(): [MetadataStore, Client] {
    const metadata = new MirroredStore(this.rows.stored(), this.rows, silentLogger);
    const services = fakeServices({ metadata, runtime: this.runtime });
    const client = createClient({
      namespace: this.namespace,
      inProcess: true,
      services: {
        tasks: inProcessClient("containerd.services.tasks.v1.Tasks", services.tasks),
        containers: inProcessClient(
          "containerd.services.containers.v1.Containers",
          services.containers,
        ),
      },
    });
    return [metadata, client];
  }

  #stepOf({ verb, id, execId, signal }: FakeCall): string {
    if (verb === "exec") return "exec";
    const kind = execId === "" ? kindOfContainer(this.records.get(id)) : "exec";
    return `${verb} ${kind}${signal === undefined ? "" : ` ${signal}`}`;
  }
}
