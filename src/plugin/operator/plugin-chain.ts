// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, toFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { changedParts } from "../../oci/changed-parts.ts";
import type { OciSpec } from "../../oci/spec.ts";
import type { ContainerCreate, HookName, SandboxCreate } from "./api.ts";
import { checkSpec } from "./check-spec.ts";
import type { PluginHost } from "./plugin-host.ts";

/** What came of one call of a hook. */
export type CallResult = "ok" | "changed" | "veto" | "error" | "timeout";

export interface ChainMember {
  readonly name: string;
  readonly onFailure: "refuse" | "ignore";
  /** The plugin, why there is none, or undefined before it had its turn to load. */
  state: { readonly host: PluginHost } | { readonly loadError: Error } | undefined;
}

export interface PluginChainOptions {
  /** In the order in which they are asked. */
  readonly members: readonly ChainMember[];
  readonly log: Logger;
  readonly onCall: (plugin: string, hook: HookName, result: CallResult) => void;
}

/** The spec to use, and which plugin has changed which parts of it. */
export interface ChainAnswer {
  readonly spec: OciSpec;
  readonly changes: readonly { readonly by: string; readonly fields: readonly string[] }[];
}

type SpecHook = "onSandboxCreate" | "onContainerCreate";

interface Question {
  readonly hook: SpecHook;
  /** What it is about, for messages: `sandbox "4f1c"`. */
  readonly object: string;
  readonly request: SandboxCreate | ContainerCreate;
}

/**
 * The operator's plugins in lexical order, each given the spec as the one before left it. A veto ends
 * it with FAILED_PRECONDITION, and so does a failure of a plugin whose policy is to refuse.
 */
export class PluginChain {
  readonly stage = "plugins";
  readonly #options: PluginChainOptions;

  constructor(options: PluginChainOptions) {
    this.#options = options;
  }

  sandbox({ id, config, spec }: SandboxCreate, call: Cancellable): Promise<ChainAnswer> {
    return this.#run("onSandboxCreate", `sandbox "${id}"`, { id, config, spec }, call);
  }

  container(
    { id, sandbox, config, spec }: ContainerCreate,
    call: Cancellable,
  ): Promise<ChainAnswer> {
    const request = { id, sandbox, config, spec };
    return this.#run("onContainerCreate", `container "${id}"`, request, call);
  }

  async #run(
    hook: SpecHook,
    object: string,
    request: SandboxCreate | ContainerCreate,
    call: Cancellable,
  ): Promise<ChainAnswer> {
    let { spec } = request;
    const changes: { readonly by: string; readonly fields: readonly string[] }[] = [];
    for (const member of this.#options.members) {
      const answer = await this.#ask(member, { hook, object, request: { ...request, spec } }, call);
      if (answer === undefined) continue;
      if ("veto" in answer) {
        throw fault(
          "FAILED_PRECONDITION",
          `plugin "${member.name}" vetoes ${object}: ${answer.veto}`,
        );
      }
      const fields = changedParts(spec, answer.spec);
      if (fields.length > 0) changes.push({ by: member.name, fields });
      ({ spec } = answer);
    }
    return { spec, changes };
  }

  /** The plugin's answer, checked; a failure is an error or no answer, as its policy has it. */
  async #ask(
    member: ChainMember,
    { hook, object, request }: Question,
    call: Cancellable,
  ): Promise<{ readonly spec: OciSpec } | { readonly veto: string } | undefined> {
    const { name, state } = member;
    if (state && "host" in state && !state.host.hooks.has(hook)) return undefined;
    const { onCall, log } = this.#options;
    try {
      const answer = readAnswer(await hostOf(member).call(hook, request, call));
      onCall(name, hook, answer === undefined ? "ok" : "veto" in answer ? "veto" : "changed");
      return answer;
    } catch (error) {
      call.signal.throwIfAborted(); // the request has gone: nothing to say of the plugin
      onCall(name, hook, isFault(error, "DEADLINE_EXCEEDED") ? "timeout" : "error");
      const { message } = toFault(error);
      if (member.onFailure === "ignore") {
        log.warn(
          { plugin: name, hook, object, reason: message },
          "plugin has failed, going on without it",
        );
        return undefined;
      }
      throw fault(
        "FAILED_PRECONDITION",
        `plugin "${name}" failed at ${hook} of ${object}: ${message}`,
        {
          cause: error,
        },
      );
    }
  }
}

function hostOf({ state }: ChainMember): PluginHost {
  if (!state) throw fault("UNAVAILABLE", "it is not loaded yet");
  if ("host" in state) return state.host;
  throw fault("FAILED_PRECONDITION", `it could not be loaded: ${state.loadError.message}`);
}

function readAnswer(
  answer: unknown,
): { readonly spec: OciSpec } | { readonly veto: string } | undefined {
  if (answer === undefined || answer === null) return undefined;
  if (typeof answer === "object") {
    if ("veto" in answer && typeof answer.veto === "string" && answer.veto !== "") {
      return { veto: answer.veto };
    }
    if ("spec" in answer) return { spec: checkSpec(answer.spec) };
  }
  throw fault(
    "INVALID_ARGUMENT",
    "it answered neither nothing, nor { spec }, nor { veto: reason }",
  );
}
