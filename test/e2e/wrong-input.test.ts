// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { type FaultCode, isFault } from "../../src/base/errors.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import { type Cri, type RunningPod } from "../support/pods.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

interface Case {
  readonly name: string;
  readonly call: (fixture: Fixture) => Promise<unknown>;
  readonly code: FaultCode;
  readonly message: RegExp;
}

interface Fixture {
  readonly cri: Cri;
  readonly shell: string;
  readonly pod: RunningPod;
  readonly running: string;
  readonly exited: string;
  readonly stoppedPod: RunningPod;
}

const missingId = "0123456789abcdef".repeat(4);

const refused: readonly Case[] = [
  {
    name: "RunPodSandbox without metadata",
    call: ({ cri }) => cri.runtime.RunPodSandbox({ config: { logDirectory: "/tmp" } }),
    code: "INVALID_ARGUMENT",
    message: /metadata/,
  },
  {
    name: "RunPodSandbox without a config",
    call: ({ cri }) => cri.runtime.RunPodSandbox({}),
    code: "INVALID_ARGUMENT",
    message: /config/,
  },
  {
    name: "RunPodSandbox with an unknown handler",
    call: ({ cri }) => cri.runPod({}, "no-such-handler"),
    code: "NOT_FOUND",
    message: /no-such-handler/,
  },
  {
    name: "RunPodSandbox with a taken name and another config",
    call: ({ cri, pod }) =>
      cri.runtime.RunPodSandbox({ config: { ...pod.config, hostname: "another" } }),
    code: "ALREADY_EXISTS",
    message: /pod-\d+/,
  },
  {
    name: "RunPodSandbox with a port of a protocol that there is not",
    call: ({ cri }) =>
      cri.runPod({ portMappings: [{ protocol: 7, containerPort: 80, hostPort: 8080 }] }),
    code: "INVALID_ARGUMENT",
    message: /^config\.port_mappings\[0\]\.protocol: 7 is no Protocol that this version knows$/,
  },
  {
    name: "CreateContainer with a propagation that a later CRI may have",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["true"], {
        mounts: [
          { containerPath: "/a", hostPath: "/tmp" },
          { containerPath: "/b", hostPath: "/tmp", propagation: 9 },
        ],
      }),
    code: "INVALID_ARGUMENT",
    message: /^config\.mounts\[1\]\.propagation: 9 is no MountPropagation/,
  },
  {
    name: "CreateContainer with a stop signal that there is not",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["true"], {
        stopSignal: 1000 as unknown as "SIGNAL_SIGTERM",
      }),
    code: "INVALID_ARGUMENT",
    message: /^config\.stop_signal: 1000 is no Signal/,
  },
  {
    name: "ListContainers of a state that there is not",
    call: ({ cri }) => cri.runtime.ListContainers({ filter: { state: { state: 12 } } }),
    code: "INVALID_ARGUMENT",
    message: /^filter\.state\.state: 12 is no ContainerState/,
  },
  {
    name: "PodSandboxStats without an id, by which kubelets ask whether there are any",
    call: ({ cri }) => cri.runtime.PodSandboxStats({}),
    code: "INVALID_ARGUMENT",
    message: /^sandbox id is empty$/,
  },
  {
    name: "RunPodSandbox with annotations of 3 MB",
    call: ({ cri }) => cri.runPod({ annotations: { large: "x".repeat(3_000_000) } }),
    code: "INVALID_ARGUMENT",
    message: /^config is too large: it has \d+ bytes, and may have 2097152$/,
  },
  {
    name: "CreateContainer with 15 MB of environment",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["true"], {
        envs: Array.from({ length: 150 }, (_, index) => ({
          key: `E${index}`,
          value: Buffer.alloc(100_000, "x"),
        })),
      }),
    code: "INVALID_ARGUMENT",
    message: /^config is too large: it has \d+ bytes, and may have 2097152$/,
  },
  {
    name: "CreateContainer with an environment variable that the kernel does not pass",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["true"], {
        envs: [{ key: "BIG", value: Buffer.alloc(131_072, "x") }],
      }),
    code: "INVALID_ARGUMENT",
    message: /^config\.envs\[0\] \(BIG\) is too long: it takes 131077 bytes/,
  },
  {
    name: "RunPodSandbox with a relative log directory",
    call: ({ cri }) => cri.runPod({ logDirectory: "relative/logs" }),
    code: "INVALID_ARGUMENT",
    message: /log/,
  },
  {
    name: "CreateContainer with a log file outside of the log directory",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["true"], { logPath: "web/../../../../etc/cron.d/job" }),
    code: "INVALID_ARGUMENT",
    message: /^config\.log_path "web\/\.\..*" leads out of the log directory$/,
  },
  {
    name: "PodSandboxStatus of an unknown pod",
    call: ({ cri }) => cri.podStatus(missingId),
    code: "NOT_FOUND",
    message: /0123456789ab/,
  },
  {
    name: "CreateContainer in an unknown pod",
    call: ({ cri, pod, shell }) => cri.createContainer({ ...pod, id: missingId }, shell, ["sh"]),
    code: "NOT_FOUND",
    message: /0123456789ab/,
  },
  {
    name: "CreateContainer in a stopped pod",
    call: ({ cri, stoppedPod, shell }) => cri.createContainer(stoppedPod, shell, ["sh"]),
    code: "FAILED_PRECONDITION",
    message: /not ready|stopped|notready/i,
  },
  {
    name: "CreateContainer of an unknown image",
    call: ({ cri, pod }) => cri.createContainer(pod, "registry.test/no/such:image", ["sh"]),
    code: "NOT_FOUND",
    message: /registry\.test\/no\/such:image/,
  },
  {
    name: "CreateContainer without metadata",
    call: ({ cri, pod, shell }) =>
      cri.runtime.CreateContainer({
        podSandboxId: pod.id,
        config: { image: { image: shell } },
        sandboxConfig: pod.config,
      }),
    code: "INVALID_ARGUMENT",
    message: /metadata/,
  },
  {
    name: "CreateContainer with a taken name and another config",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["other"], { metadata: { name: "running", attempt: 0 } }),
    code: "ALREADY_EXISTS",
    message: /running/,
  },
  {
    name: "CreateContainer with a mount that has no target",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["sh"], {
        mounts: [{ hostPath: "/tmp", containerPath: "" }],
      }),
    code: "INVALID_ARGUMENT",
    message: /mount/,
  },
  {
    name: "CreateContainer with a mount of a path that cannot be made",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["sh"], {
        mounts: [{ hostPath: "/proc/no/such", containerPath: "/data" }],
      }),
    code: "INVALID_ARGUMENT",
    message: /\/proc\/no\/such/,
  },
  {
    name: "CreateContainer with a user group but no user",
    call: ({ cri, pod, shell }) =>
      cri.createContainer(pod, shell, ["sh"], {
        linux: { securityContext: { runAsGroup: { value: 5n } } },
      }),
    code: "INVALID_ARGUMENT",
    message: /group/,
  },
  {
    name: "StartContainer of an unknown container",
    call: ({ cri }) => cri.runtime.StartContainer({ containerId: missingId }),
    code: "NOT_FOUND",
    message: /0123456789ab/,
  },
  {
    name: "StartContainer of one that ended",
    call: ({ cri, exited }) => cri.runtime.StartContainer({ containerId: exited }),
    code: "FAILED_PRECONDITION",
    message: /exited/i,
  },
  {
    name: "ContainerStatus of an unknown container",
    call: ({ cri }) => cri.status(missingId),
    code: "NOT_FOUND",
    message: /0123456789ab/,
  },
  {
    name: "ContainerStats of an unknown container",
    call: ({ cri }) => cri.runtime.ContainerStats({ containerId: missingId }),
    code: "NOT_FOUND",
    message: /0123456789ab/,
  },
  {
    name: "ExecSync in an unknown container",
    call: ({ cri }) => cri.exec(missingId, ["true"]),
    code: "NOT_FOUND",
    message: /0123456789ab/,
  },
  {
    name: "ExecSync in one that ended",
    call: ({ cri, exited }) => cri.exec(exited, ["true"]),
    code: "FAILED_PRECONDITION",
    message: /exited/i,
  },
  {
    name: "ExecSync without a command",
    call: ({ cri, running }) => cri.exec(running, []),
    code: "INVALID_ARGUMENT",
    message: /command|cmd/,
  },
  {
    name: "ReopenContainerLog of one that ended",
    call: ({ cri, exited }) => cri.runtime.ReopenContainerLog({ containerId: exited }),
    code: "FAILED_PRECONDITION",
    message: /exited|not running/i,
  },
  {
    name: "PullImage of a reference that is none",
    call: ({ cri }) => cri.images.PullImage({ image: { image: "UPPER/case:??" } }),
    code: "INVALID_ARGUMENT",
    message: /UPPER/,
  },
  {
    name: "PullImage of an image its registry does not have",
    call: ({ cri, shell }) =>
      cri.images.PullImage({ image: { image: shell.replace("shell", "absent") } }),
    code: "NOT_FOUND",
    message: /absent/,
  },
  {
    name: "a checkpoint of a container that does not exist",
    call: ({ cri }) => cri.runtime.CheckpointContainer({ containerId: missingId, location: "/x" }),
    code: "NOT_FOUND",
    message: new RegExp(missingId),
  },
];

suite("wrong input", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let fixture: Fixture;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    const shell = bed.images.shell.reference;
    const pod = await cri.runPod();
    const running = await cri.startContainer(pod, shell, ["sleep", "100000"], {
      metadata: { name: "running", attempt: 0 },
    });
    const exited = await cri.startContainer(pod, shell, ["true"]);
    await cri.reaches(exited, "CONTAINER_EXITED");
    const stoppedPod = await cri.runPod();
    await cri.runtime.StopPodSandbox({ podSandboxId: stoppedPod.id });
    fixture = { cri, shell, pod, running, exited, stoppedPod };
  });
  after(() => bed?.finish());

  for (const { name, call, code, message } of refused) {
    test(`${name} is ${code}`, async () => {
      await assert.rejects(call(fixture), (error) => {
        assert.ok(isFault(error), String(error));
        assert.deepEqual([error.code, message.test(error.message)], [code, true], error.message);
        return true;
      });
    });
  }

  test("stopping and removing what is not there, or not any more, succeeds", async () => {
    const { exited } = fixture;
    await cri.runtime.StopContainer({ containerId: missingId });
    await cri.runtime.RemoveContainer({ containerId: missingId });
    await cri.runtime.StopPodSandbox({ podSandboxId: missingId });
    await cri.runtime.RemovePodSandbox({ podSandboxId: missingId });
    await cri.images.RemoveImage({ image: { image: "registry.test/no/such:image" } });
    await cri.runtime.StopContainer({ containerId: exited, timeout: 5n });
    await cri.runtime.StopPodSandbox({ podSandboxId: fixture.stoppedPod.id });
  });

  test("the status of an unknown image is empty, not an error", async () => {
    const { image } = await cri.images.ImageStatus({ image: { image: "registry.test/no:such" } });
    assert.equal(image, null);
  });

  test("a command that is not there ends the container with 128 and StartError", async () => {
    const { pod, shell } = fixture;
    const id = await cri.createContainer(pod, shell, ["/no/such/command"]);
    await assert.rejects(cri.runtime.StartContainer({ containerId: id }), (error) => {
      assert.ok(isFault(error), String(error));
      assert.match(error.message, /\/no\/such\/command/);
      return true;
    });
    const status = await cri.status(id);
    assert.deepEqual(
      [status.state, status.exitCode, status.reason],
      ["CONTAINER_EXITED", 128, "StartError"],
    );
    assert.match(status.message, /\/no\/such\/command/);
    await cri.runtime.RemoveContainer({ containerId: id });
  });

  test("no refused pod left anything", async () => {
    const { items } = await cri.runtime.ListPodSandbox({});
    assert.deepEqual(
      items.map(({ id }) => id).toSorted((a, b) => (a < b ? -1 : 1)),
      [fixture.pod.id, fixture.stoppedPod.id].toSorted((a, b) => (a < b ? -1 : 1)),
    );
  });
});

suite("a pod whose network fails", { skip: lacking(...podPrograms) }, () => {
  /** Rewrites the network's file, and waits until the daemon has read it. */
  const rewrite = async (bed: Testbed, ranges: readonly object[][]): Promise<void> => {
    const [name] = await readdir(bed.daemon.network.confDir);
    const loads = async (): Promise<number> =>
      (await bed.daemon.logLines()).filter(({ msg }) => msg === "CNI configuration loaded").length;
    const before = await loads();
    const { bridge, dataDir, name: network } = bed.daemon.network;
    await writeFile(
      path.join(bed.daemon.network.confDir, name!),
      JSON.stringify({
        cniVersion: "1.0.0",
        name: network,
        plugins: [
          {
            type: "bridge",
            bridge,
            isGateway: true,
            ipam: { type: "host-local", dataDir, ranges },
          },
        ],
      }),
    );
    await until("the new configuration is loaded", async () => (await loads()) > before);
  };

  test("is refused, tells why, and leaves nothing", async () => {
    await using bed = await openTestbed();
    const { cri, daemon } = bed;
    const subnet = daemon.network.subnet;
    const only = subnet.replace(".0/24", ".9");
    await rewrite(bed, [[{ subnet, rangeStart: only, rangeEnd: only }]]);
    const first = await cri.runPod();
    await assert.rejects(cri.runPod(), (error) => {
      assert.ok(isFault(error), String(error));
      assert.match(error.message, /no IP addresses available/);
      return true;
    });
    const { items } = await cri.runtime.ListPodSandbox({});
    assert.deepEqual(
      items.map(({ id }) => id),
      [first.id],
    );
    await cri.removePod(first.id);
    await nothingLeft(daemon.territory);
    const again = await cri.runPod();
    await cri.removePod(again.id);
    await bed.finish();
  });

  test("and cannot be taken down either, is shown until a kubelet's tries have removed it", async () => {
    await using bed = await openTestbed();
    const { cri, daemon } = bed;
    await rewrite(bed, []); // host-local refuses this, in ADD and in DEL
    await assert.rejects(cri.runPod());
    const { items } = await cri.runtime.ListPodSandbox({});
    for (const { id, state } of items) {
      assert.equal(state, "SANDBOX_NOTREADY");
      await until("a try removes it", async () => {
        await cri.removePod(id);
        return true;
      });
    }
    await nothingLeft(daemon.territory);
    await bed.finish();
  });
});
