// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { TaskTypesProcessInfo } from "../gen/tasks.gen.ts";
import type { TypesDescriptorInit, TypesMetric } from "../gen/types.gen.ts";
import type { ProtoAny } from "../gen/wellknown.gen.ts";
import { encodeExactJson } from "../oci/encode-spec.ts";
import type { ClientScope } from "./client-scope.ts";
import type { IoCreator, Process, ProcessIo, Task } from "./ports.ts";
import { RemoteProcess } from "./process.ts";

/** Shims expect this prefix before the type name of OCI JSON. */
const ociTypePrefix = "types.containerd.io/opencontainers/runtime-spec/1/";

export class RemoteTask extends RemoteProcess implements Task {
  constructor(scope: ClientScope, id: string, pid: number, io: ProcessIo | undefined) {
    super(scope, { containerId: id, execId: "", pid, io });
  }

  async exec(execId: string, spec: unknown, io: IoCreator, call: Cancellable): Promise<Process> {
    const { services, on } = this.scope;
    await using stack = new AsyncDisposableStack();
    const streams = stack.use(await io(execId));
    const request = {
      containerId: this.containerId,
      execId,
      ...streams.config,
      spec: ociAny("Process", spec),
    };
    await services.tasks.Exec(request, on(call));
    stack.move(); // the process owns its io from here
    return this.#exec(execId, streams);
  }

  execHandle(execId: string): Process {
    return this.#exec(execId, undefined);
  }

  #exec(execId: string, io: ProcessIo | undefined): Process {
    return new RemoteProcess(this.scope, { containerId: this.containerId, execId, pid: 0, io });
  }

  async pids(call: Cancellable): Promise<readonly TaskTypesProcessInfo[]> {
    const { services, on } = this.scope;
    const { processes } = await services.tasks.ListPids({ containerId: this.id }, on(call));
    return processes;
  }

  async pause(call: Cancellable): Promise<void> {
    const { services, on } = this.scope;
    await services.tasks.Pause({ containerId: this.id }, on(call));
  }

  async resume(call: Cancellable): Promise<void> {
    const { services, on } = this.scope;
    await services.tasks.Resume({ containerId: this.id }, on(call));
  }

  async update(resources: unknown, call: Cancellable): Promise<void> {
    const { services, on } = this.scope;
    const request = { containerId: this.id, resources: ociAny("LinuxResources", resources) };
    await services.tasks.Update(request, on(call));
  }

  async metrics(call: Cancellable): Promise<TypesMetric> {
    const { services, on } = this.scope;
    const { metrics } = await services.tasks.Metrics({ filters: [`id=="${this.id}"`] }, on(call));
    const [metric] = metrics;
    if (!metric) throw fault("NOT_FOUND", `task "${this.id}" has no metrics`);
    return metric;
  }

  async checkpoint(
    options: ProtoAny | null,
    call: Cancellable,
  ): Promise<readonly TypesDescriptorInit[]> {
    const { services, on } = this.scope;
    const request = { containerId: this.id, options };
    const { descriptors } = await services.tasks.Checkpoint(request, on(call));
    return descriptors;
  }
}

function ociAny(kind: string, value: unknown): ProtoAny {
  return { type_url: `${ociTypePrefix}${kind}`, value: Buffer.from(encodeExactJson(value)) };
}
