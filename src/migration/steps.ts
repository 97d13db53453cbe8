// SPDX-License-Identifier: Apache-2.0
import type { V1Pod } from "@kubernetes/client-node";
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { fault, isFault, toFault } from "../base/errors.ts";
import { sleep } from "../base/timers.ts";
import type { Ask } from "./ask.ts";
import { type DrainFlags, drain, leavingPods, nameOf, stayingPods } from "./drain.ts";
import { applyEdit } from "./edit.ts";
import type { Journal } from "./journal.ts";
import { hasOwnRuntime } from "./node-setting.ts";
import type { Removal } from "./remove-pods.ts";
import type { Services, ServiceWords } from "./services.ts";
import { type DownTimes, staysDown } from "./stays-down.ts";
import { openWaits } from "./waits.ts";

/** What the steps work with. */
export interface Tools {
  readonly ask: Ask;
  readonly services: Services;
  readonly flags: DrainFlags & { readonly noDrain: boolean };
  readonly say: (line: string) => void;
  /** `berth image copy`; undefined where it is not wanted, or the other runtime has no containerd's images. */
  readonly copyImages: ((socket: string) => Promise<void>) | undefined;
  readonly kubeletRuns: () => Promise<boolean>;
  /** Default: as long as a kubelet that systemd starts again may take. */
  readonly downTimes?: DownTimes;
  /** undefined when nobody serves there, or does not answer. */
  readonly removePods: (socket: string, call: Cancellable) => Promise<Removal | undefined>;
  /** Containers; none where nobody answers. */
  readonly running: (socket: string, call: Cancellable) => Promise<number>;
  /** Those of pods alone; how many. */
  readonly killShimsOf: (socket: string, call: Cancellable) => Promise<number>;
  readonly whyNotReady: (socket: string, call: Cancellable) => Promise<string | undefined>;
}

export interface Step {
  readonly name: StepName;
  /** What a plan tells of it. */
  readonly spoken: string;
  /** What else a plan tells of it, a line each. */
  readonly more?: (call: Cancellable) => Promise<readonly string[]>;
  readonly run: (call: Cancellable) => Promise<void>;
}

export type StepName =
  | "images"
  | "cordon"
  | "drain"
  | "stop-kubelet"
  | "remove-pods"
  | "settings"
  | "runtime"
  | "start-kubelet"
  | "check"
  | "annotate"
  | "uncordon";

const annotation = "kubeadm.alpha.kubernetes.io/cri-socket";
const stoppedMs = 30_000;
const servesMs = 120_000;
/** A machine that starts an API server of its own takes minutes. */
const readyMs = 600_000;
const askMs = 1_000;
const mostTold = 10;

/** The steps of the journal's direction. Each may run again after it was cut off at any point. */
export function stepsOf(journal: Journal, tools: Tools): readonly Step[] {
  const steps = journal.direction === "to" ? stepsTo(journal, tools) : stepsBack(journal, tools);
  return steps.filter((one) => one !== undefined);
}

type Steps = readonly (Step | undefined)[];

function stepsTo(journal: Journal, tools: Tools): Steps {
  const { oldEndpoint, ourEndpoint, oldService, kind } = journal;
  const { copyImages, services } = tools;
  const off: ServiceWords = ["disable", "--now", oldService ?? ""];
  return [
    copyImages && {
      name: "images",
      spoken: `copy the images of ${oldEndpoint} (those that are not copied are pulled)`,
      run: () => copyImages(oldEndpoint),
    },
    cordon(journal, tools),
    drainStep(journal, tools),
    stopKubelet(journal, tools),
    {
      name: "remove-pods",
      spoken: `remove the pods that the drain leaves (DaemonSets', static ones) from ${oldEndpoint}`,
      run: (call) => removeOld(journal, tools, call),
    },
    settings(journal, tools, "after"),
    oldService === undefined || !hasOwnRuntime(kind)
      ? undefined
      : {
          name: "runtime",
          spoken: services.spoken(off),
          run: (call) =>
            services.change(off, async () => !(await serves(tools, oldEndpoint, call)), call),
        },
    startKubelet(journal, tools),
    check(journal, tools, { scheme: "berth://", socket: ourEndpoint }),
    annotate(journal, tools, `unix://${ourEndpoint}`),
    uncordon(journal, tools),
  ];
}

/** Nothing of the node but the cordon has changed while the kubelet had not been stopped. */
function stepsBack(journal: Journal, tools: Tools): Steps {
  if (!journal.begun.includes("stop-kubelet")) return [uncordon(journal, tools)];
  const { oldEndpoint, ourEndpoint, oldService, oldRuntime, kind } = journal;
  const { services } = tools;
  const hadPods = journal.begun.includes("start-kubelet");
  const on: ServiceWords = ["enable", "--now", oldService ?? ""];
  // The cordon of the way to Berth is still there where no pod came; and the API server may be one of those pods.
  const drained = hadPods ? drainStep(journal, tools) : undefined;
  return [
    drained && whereAsked(cordon(journal, tools), journal, tools),
    drained && whereAsked(drained, journal, tools),
    stopKubelet(journal, tools),
    hadPods
      ? {
          name: "remove-pods",
          spoken: `remove the pods that the drain leaves from ${ourEndpoint}`,
          run: (call) => removeOurs(journal, tools, call),
        }
      : undefined,
    settings(journal, tools, "before"),
    oldService === undefined || !hasOwnRuntime(kind)
      ? undefined
      : {
          name: "runtime",
          spoken: services.spoken(on),
          run: async (call) => {
            await services.change(on, () => serves(tools, oldEndpoint, call), call);
            using limit = deadline(servesMs, `waiting for ${oldEndpoint}`, call.signal);
            while (!(await serves(tools, oldEndpoint, limit))) await sleep(askMs, limit);
          },
        },
    startKubelet(journal, tools),
    check(journal, tools, {
      scheme: /^[^:]*:\/\//.exec(oldRuntime)?.[0] ?? oldRuntime,
      socket: oldEndpoint,
    }),
    annotate(journal, tools, journal.annotation),
    uncordon(journal, tools),
  ];
}

function cordon({ node }: Journal, { ask }: Tools): Step {
  return {
    name: "cordon",
    spoken: `cordon ${node}`,
    run: (call) => ask("the cordon", (api) => api.setUnschedulable(node, true), call),
  };
}

function uncordon({ node, wasCordoned }: Journal, { ask }: Tools): Step | undefined {
  if (wasCordoned) return undefined;
  return {
    name: "uncordon",
    spoken: `uncordon ${node}`,
    run: (call) => ask("the end of the cordon", (api) => api.setUnschedulable(node, false), call),
  };
}

function drainStep({ node, begun }: Journal, tools: Tools): Step | undefined {
  const { ask, flags } = tools;
  // It may have been stopped on the way that was turned from, or not come up with what was set.
  const isStopped = async (call: Cancellable): Promise<boolean> =>
    begun.includes("stop-kubelet") && (await staysDown(tools, call));
  if (flags.noDrain) return undefined;
  return {
    name: "drain",
    spoken: `drain ${node} within PodDisruptionBudgets, ${flags.drainMs / 1000} s at most`,
    more: async (call) => {
      const pods = leavingPods(await ask("the node's pods", (api) => api.podsOf(node), call));
      return pods.length === 0 ? ["no pod is to go"] : pods.map((pod) => `evict ${nameOf(pod)}`);
    },
    run: (call) => drain({ ...tools, isStopped }, node, call),
  };
}

function stopKubelet({ service }: Journal, tools: Tools): Step {
  const { services, kubeletRuns } = tools;
  const words = ["stop", service];
  return {
    name: "stop-kubelet",
    spoken: services.spoken(words),
    run: async (call) => {
      // Where only the operator can stop it, one that is between two starts is not stopped.
      await services.change(words, () => staysDown(tools, call), call);
      using limit = deadline(stoppedMs, `waiting for ${service} to end`, call.signal);
      while (await kubeletRuns()) await sleep(askMs, limit);
    },
  };
}

/** One that somebody has started meanwhile has the settings of before. Those that hold more take minutes. */
function startKubelet({ service, kind }: Journal, { services, kubeletRuns }: Tools): Step {
  const words = ["restart", ...(kind === "kubelet" ? [] : ["--no-block"]), service];
  return {
    name: "start-kubelet",
    spoken: services.spoken(words),
    run: (call) => services.change(words, kubeletRuns, call),
  };
}

function settings(journal: Journal, { services }: Tools, to: "before" | "after"): Step {
  const { edits } = journal;
  const spoken = edits.map((edit) => {
    const { file, name, kind } = edit;
    const value = edit[to];
    if (kind === "file") return value === undefined ? `remove ${file}` : `write ${file}`;
    return `in ${file}: ${value === undefined ? `no ${name}` : `${name} ${value}`}`;
  });
  return {
    name: "settings",
    spoken: spoken.join("; "),
    run: async (call) => {
      for (const edit of edits) await applyEdit(edit, to);
      const reload = ["daemon-reload"];
      if (edits.some(({ file }) => file.includes("/systemd/system/"))) {
        await services.change(reload, () => Promise.resolve(true), call);
      }
    },
  };
}

/**
 * Where the API server cannot be asked, and may be one of the pods that do not run here, there is nothing to be spared by
 * waiting for it.
 */
function whereAsked(step: Step, { ourEndpoint }: Journal, tools: Tools): Step {
  const { running, say } = tools;
  return {
    ...step,
    run: async (call) => {
      try {
        await step.run(call);
      } catch (error) {
        call.signal.throwIfAborted();
        if (!isFault(error, "UNAVAILABLE")) throw error;
        const { message } = error;
        if ((await running(ourEndpoint, call)) > 0 && !(await staysDown(tools, call))) {
          const more = "pods run here: --no-drain ends them without the API server";
          throw fault("UNAVAILABLE", `${message}; ${more}`, { cause: error });
        }
        say(`left out, as no pod runs here or the kubelet is down: ${message}`);
      }
    },
  };
}

/** Ends what could not be removed; answers how many pods those were, or undefined when all was removed. */
async function killLeft(
  socket: string,
  removal: Removal | undefined,
  tools: Tools,
  call: Cancellable,
): Promise<number | undefined> {
  if (removal?.left.length === 0) return undefined;
  const killed = await tools.killShimsOf(socket, call);
  for (const why of removal?.left.slice(0, mostTold) ?? []) {
    tools.say(`could not be removed from ${socket}: pod ${why}`);
  }
  if (removal !== undefined) {
    tools.say(`${removal.left.length} pods are left in ${socket}: ${killed} of them were killed`);
  }
  return killed;
}

async function removeOurs(journal: Journal, tools: Tools, call: Cancellable): Promise<void> {
  const { ourEndpoint } = journal;
  const removal = await tools.removePods(ourEndpoint, call);
  const killed = await killLeft(ourEndpoint, removal, tools, call);
  if (removal !== undefined) return tools.say(`${removal.removed} pods were removed`);
  tools.say(
    `berthd does not answer on ${ourEndpoint}: ${killed ?? 0} pods of it were killed; their mounts and networks are left there`,
  );
}

async function removeOld(journal: Journal, tools: Tools, call: Cancellable): Promise<void> {
  const { oldEndpoint, kind } = journal;
  const removal = await tools.removePods(oldEndpoint, call);
  const killed = await killLeft(oldEndpoint, removal, tools, call);
  if (removal !== undefined) tools.say(`${removal.removed} pods were removed`);
  if (removal !== undefined || killed === undefined) return;
  if (hasOwnRuntime(kind)) {
    // It was turned off when it had none any more.
    if (killed === 0 && journal.begun.includes("runtime")) return;
    tools.say(`nobody answers on ${oldEndpoint}: ${killed} pods were killed with their shims`);
  } else if (killed > 0) {
    tools.say(
      `${killed} pods of ${kind} were killed; their mounts and networks go with ${kind}-killall.sh, or a reboot`,
    );
  }
}

async function serves({ whyNotReady }: Tools, socket: string, call: Cancellable): Promise<boolean> {
  return (await whyNotReady(socket, call)) === undefined;
}

function annotate(journal: Journal, { ask }: Tools, value: string | undefined): Step | undefined {
  const { node } = journal;
  if (journal.annotation === undefined || value === undefined) return undefined;
  return {
    name: "annotate",
    spoken: `annotate ${node} with ${annotation}=${value}`,
    run: (call) =>
      ask("the annotation", (api) => api.annotate(node, { [annotation]: value }), call),
  };
}

interface Expected {
  /** `berth://`; "" for any other, where the node never told which. */
  readonly scheme: string;
  readonly socket: string;
}

/** The node is ready with that runtime, and one of its own pods runs on it. */
function check({ node }: Journal, tools: Tools, { scheme, socket }: Expected): Step {
  const { ask, say } = tools;
  const runtime = scheme.replace("://", "") || "another runtime";
  return {
    name: "check",
    spoken: `wait until ${node} is ready with ${runtime}, and a pod of it runs`,
    run: async (call) => {
      using limit = deadline(readyMs, "the node", call.signal);
      let missing = "the API server has not answered";
      const waits = openWaits(say);
      try {
        for (;;) {
          const found = await ask("the node", (api) => api.node(node), limit);
          const told = found.status?.nodeInfo?.containerRuntimeVersion ?? "";
          const ready = found.status?.conditions?.find(({ type }) => type === "Ready");
          if (!isOf(told, scheme)) missing = `its runtime is ${told || "not told"}`;
          else if (ready?.status !== "True") missing = `it is not ready: ${ready?.message ?? ""}`;
          else {
            const pods = stayingPods(await ask("its pods", (api) => api.podsOf(node), limit));
            if (pods.length === 0)
              return say("no DaemonSet's or static pod is here: none was tried");
            if (pods.some((pod) => runsOn(pod, scheme))) return;
            missing = `none of its ${pods.length} DaemonSets' and static pods runs`;
          }
          waits.told(node, missing);
          await sleep(askMs, limit);
        }
      } catch (error) {
        call.signal.throwIfAborted();
        if (!limit.signal.aborted) throw error;
        const why = await tools.whyNotReady(socket, call);
        throw fault(
          "DEADLINE_EXCEEDED",
          `after ${readyMs / 1000} s ${node} is not ready with ${runtime}: ${missing}${why === undefined ? "" : `; ${socket}: ${why}`}`,
          { cause: toFault(error) },
        );
      }
    },
  };
}

function runsOn({ status }: V1Pod, scheme: string): boolean {
  return (status?.containerStatuses ?? []).some(
    ({ containerID, state }) => state?.running !== undefined && isOf(containerID ?? "", scheme),
  );
}

function isOf(told: string, scheme: string): boolean {
  return scheme === "" ? told !== "" && !told.startsWith("berth://") : told.startsWith(scheme);
}
