// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { isFault } from "../../../src/base/errors.ts";
import { mount, unmount } from "../../../src/base/os/mount.ts";
import { MountFlag } from "../../../src/base/os/mount-options.ts";
import { mountsBelow } from "../mounts.ts";
import type { Cri, RunningPod } from "../pods.ts";
import { must } from "../run.ts";
import { until } from "../until.ts";
import type { Attack, DaemonPorts } from "./attacks.ts";
import { askAsKubelets, repeat } from "./kubelet-questions.ts";
import { podCgroup } from "./pod-cgroup.ts";

/** As a kubelet limits a pod whose containers have limits: the machine's processors are not the pod's alone. */
const limits = { milliCpu: 500, memoryBytes: 256 << 20, pids: 1000 };

export interface HostileWorld {
  readonly cri: Cri;
  readonly image: string;
  readonly ports: DaemonPorts;
  /** Of this pod alone. */
  readonly volume: string;
  readonly cgroupParent: string;
}

/** A pod that attacks, and what others do with it meanwhile. */
export interface HostilePod {
  /** What kubelets were told about it that they should not have been. */
  readonly complaints: readonly string[];
  /** Stops and removes it. */
  remove(): Promise<void>;
}

/** Answers once the attack is at its worst. */
export async function startHostilePod(world: HostileWorld, attack: Attack): Promise<HostilePod> {
  const { cri, volume, cgroupParent } = world;
  await using undo = new AsyncDisposableStack();
  await mkdir(volume, { recursive: true });
  undo.defer(() => must("rm", ["-rf", "--one-file-system", volume]).then(() => {}));
  if (attack.spreadsMounts) {
    mount({ source: volume, target: volume, type: "", flags: MountFlag.bind, data: "" });
    undo.defer(async () => {
      // What the pod left in its volume is the volume's; kubelets unmount it too.
      const left = await mountsBelow(volume);
      unmount(volume, { lazy: true });
      if (left.length === 0) throw new Error("no mount spread");
    });
    mount({ source: "none", target: volume, type: "", flags: MountFlag.shared, data: "" });
  }
  undo.use(await podCgroup(cgroupParent, { ...limits, ...(attack.pids && { pids: attack.pids }) }));
  const pod = await cri.runPod(podChange(attack, cgroupParent));
  undo.defer(() => cri.removePod(pod.id));
  const start = (attempt: number): Promise<string> => startContainer(world, attack, pod, attempt);
  const asked = { podSandboxId: pod.id, containerId: await start(0) };
  await until("the attack is at its worst", () => existsSync(path.join(volume, "ready")), {
    timeoutMs: 180_000,
  });

  const questions = undo.use(askAsKubelets(cri, asked));
  const stop = new AbortController();
  const { execs } = attack;
  const others = Array.from({ length: execs?.atOnce ?? 0 }, () =>
    repeat(() => cri.exec(asked.containerId, execs?.command ?? [], 2), 0, stop.signal),
  );
  if (attack.endsItself) {
    let attempt = 0;
    others.push(
      repeat(
        async () => {
          if ((await cri.status(asked.containerId)).state !== "CONTAINER_EXITED") return;
          await cri.runtime.RemoveContainer({ containerId: asked.containerId });
          asked.containerId = await start((attempt += 1));
        },
        100,
        stop.signal,
      ),
    );
  }
  undo.defer(async () => {
    stop.abort();
    await Promise.all(others);
  });
  const owned = undo.move();
  return {
    get complaints() {
      return questions.complaints;
    },
    remove: async () => {
      try {
        await cri.runtime
          .StopContainer({ containerId: asked.containerId, timeout: 1n })
          .catch((error: unknown) => {
            if (!isFault(error, "NOT_FOUND")) throw error;
          });
      } finally {
        await owned.disposeAsync();
      }
    },
  };
}

function podChange({ isPrivileged, sharesPids, onNodeNetwork }: Attack, cgroupParent: string) {
  return {
    linux: {
      cgroupParent,
      securityContext: {
        privileged: isPrivileged === true,
        namespaceOptions: {
          pid: sharesPids ? "POD" : "CONTAINER",
          network: onNodeNetwork ? "NODE" : "POD",
        },
      },
    },
  } as const;
}

async function startContainer(
  { cri, image, ports, volume }: HostileWorld,
  attack: Attack,
  pod: RunningPod,
  attempt: number,
): Promise<string> {
  const { does, isPrivileged, hasTerminal, spreadsMounts } = attack;
  const command = typeof does === "function" ? does(ports) : does;
  const { securityContext } = podChange(attack, "").linux;
  return cri.startContainer(pod, image, command, {
    metadata: { name: "hostile", attempt },
    logPath: `hostile/${attempt}.log`,
    tty: hasTerminal === true,
    mounts: [
      {
        hostPath: volume,
        containerPath: "/vol",
        propagation: spreadsMounts ? "PROPAGATION_BIDIRECTIONAL" : "PROPAGATION_PRIVATE",
      },
    ],
    linux: { securityContext: { ...securityContext, privileged: isPrivileged === true } },
  });
}
