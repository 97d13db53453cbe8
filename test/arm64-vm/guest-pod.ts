// SPDX-License-Identifier: Apache-2.0
// In the emulated machine: a kubelet's calls for one pod. The package's own Node runs it, bundled in one file.
//
//   guest-pod.mjs up IMAGE           runs a pod with a container, and writes the two ids
//   guest-pod.mjs exec CONTAINER CMD...  runs a command in it, and writes what that says
//   guest-pod.mjs down POD           stops and removes the pod
import { connectPeer } from "../support/grpc-peer.ts";
import { Cri } from "../support/pods.ts";

const execSeconds = 120;
const [step, subject = "", ...rest] = process.argv.slice(2);
using peer = connectPeer("/run/berthd/berthd.sock");
const cri = new Cri(peer, { logRoot: "/srv/logs", cgroupParent: "/kubepods" });
switch (step) {
  case "up": {
    const pod = await cri.runPod();
    const loop = "while :; do echo tick; sleep 1; done";
    const container = await cri.startContainer(pod, subject, ["sh", "-c", loop]);
    process.stdout.write(`${pod.id} ${container}\n`);
    break;
  }
  case "exec": {
    const { exitCode, stdout, stderr } = await cri.exec(subject, rest, execSeconds);
    process.stdout.write(`${stdout}${stderr}`);
    process.exitCode = exitCode;
    break;
  }
  case "down":
    await cri.removePod(subject);
    break;
  default:
    throw new Error(`unknown step ${String(step)}`);
}
