// SPDX-License-Identifier: Apache-2.0
// `npm run quickstart`: a real pod on a berthd of its own, shown step by step, then all of it removed.
//
//   npm run quickstart                     run, show, remove
//   npm run quickstart -- --keep           leave the daemon and the pod running
//   npm run quickstart -- --stop FOLDER    end what --keep left
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { connectGrpc } from "../src/rpc/grpc-client.ts";
import { removeEverything, startDaemon } from "./quickstart/daemon.ts";
import { imageName, makeImage } from "./quickstart/image.ts";
import { bridge, cgroupParent, makePlace, type Place, placeAt } from "./quickstart/place.ts";
import { blank, command, say, timed, title } from "./quickstart/show.ts";

const { values } = parseArgs({ options: { keep: { type: "boolean" }, stop: { type: "string" } } });
const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));
process.once("SIGTERM", () => interrupted.abort(new Error("interrupted")));

try {
  if (values.stop === undefined) await start(values.keep ?? false);
  else await stop(path.resolve(values.stop));
} catch (error) {
  process.stderr.write(`\nquickstart: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function start(keep: boolean): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("pods need root: run it with sudo, or as root");
  await refuseSecond();
  const { place, metricsUrl } = await makePlace();
  let isDone = false;
  try {
    await show(place, metricsUrl);
    isDone = true;
  } finally {
    if (!isDone) showLogTail(place);
    if (!isDone || !keep) {
      title("Stop and remove everything");
      await timed("removed", () => removeEverything(place));
      blank();
    }
  }
  if (keep) tellHowToUse(place, metricsUrl);
  else tellHowToGoOn();
}

async function show(place: Place, metricsUrl: string): Promise<void> {
  title("Start berthd on a socket, a root and a CNI network of its own");
  say(`$ bin/berthd serve --config ${place.configFile}`);
  await timed("ready after", () => startDaemon(place));
  await command("berth", ["-a", place.socket, "status"]);

  title("Load an image, made just now of this machine's busybox");
  const layout = await makeImage(place.folder);
  await command("berth", ["-a", place.socket, "image", "load", layout]);
  await command("berth", ["-a", place.socket, "image", "ls"]);

  title("Run a pod, as a kubelet does: over CRI");
  const containerId = await runPod(place);
  await command("berth", ["-a", place.socket, "pod", "ls"]);
  await command("berth", ["-a", place.socket, "ps"]);

  title("Read its log and run a command in it");
  await logAndExec(place, containerId);

  title("The same tasks through containerd's own client");
  await command("ctr", ["-a", place.socket, "-n", "k8s.io", "tasks", "ls"]);

  title("The pod's metrics, as Prometheus scrapes them");
  await metrics(metricsUrl);
}

async function runPod(place: Place): Promise<string> {
  using connection = connectGrpc(place.socket);
  const runtime = connection.client("runtime.v1.RuntimeService");
  const call = { signal: AbortSignal.any([interrupted.signal, AbortSignal.timeout(60_000)]) };
  const sandboxConfig = {
    metadata: { name: "hello", namespace: "quickstart", uid: "quickstart-1", attempt: 0 },
    hostname: "hello",
    logDirectory: place.podLogs,
    labels: { app: "hello" },
    linux: { cgroupParent, securityContext: { namespaceOptions: { pid: "CONTAINER" as const } } },
  };
  const { podSandboxId } = await timed(
    "RunPodSandbox",
    () => runtime.RunPodSandbox({ config: sandboxConfig }, call),
    (answer) => answer.podSandboxId.slice(0, 13),
  );
  const script =
    'echo "$GREETING called $(hostname)"; echo "a line on stderr" >&2; exec sleep 100000';
  const config = {
    metadata: { name: "main", attempt: 0 },
    image: { image: imageName },
    command: ["/bin/sh", "-c", script],
    logPath: "main.log",
    linux: { securityContext: { namespaceOptions: { pid: "CONTAINER" as const } } },
  };
  const { containerId } = await timed(
    "CreateContainer",
    () => runtime.CreateContainer({ podSandboxId, config, sandboxConfig }, call),
    (answer) => answer.containerId.slice(0, 13),
  );
  await timed("StartContainer", () => runtime.StartContainer({ containerId }, call));
  const { status } = await runtime.PodSandboxStatus({ podSandboxId }, call);
  say(`address            ${status?.network?.ip ?? "none"}`);
  blank();
  return containerId;
}

async function logAndExec(place: Place, containerId: string): Promise<void> {
  using connection = connectGrpc(place.socket);
  const runtime = connection.client("runtime.v1.RuntimeService");
  const call = { signal: AbortSignal.any([interrupted.signal, AbortSignal.timeout(30_000)]) };
  const { status } = await runtime.ContainerStatus({ containerId }, call);
  const file = status?.logPath ?? "";
  for (
    let attempt = 0;
    attempt < 100 && !(existsSync(file) && readFileSync(file, "utf8").includes("stderr"));
    attempt += 1
  ) {
    await sleep(20, undefined, call);
  }
  say(`$ cat ${file}\n${readFileSync(file, "utf8")}`);
  blank();
  const cmd = ["/bin/sh", "-c", "ip -4 -o addr show eth0; ps"];
  const result = await timed("ExecSync", () =>
    runtime.ExecSync({ containerId, cmd, timeout: 10n }, call),
  );
  say(
    `$ ${cmd.slice(0, 2).join(" ")} '${cmd[2]}'\n${result.stdout.toString()}${result.stderr.toString()}\n`,
  );
}

async function metrics(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  const lines = (await response.text()).split("\n");
  const wanted = lines.filter(
    (line) =>
      line.includes('pod="hello"') &&
      /cpu_usage|memory_working|memory_usage|pids|processes/.test(line),
  );
  say(`$ curl -s ${url} | grep 'pod="hello"'`);
  say(
    wanted.length === 0 ? "(no line of the pod yet)" : wanted.slice(0, 8).map(shorter).join("\n"),
  );
  say(`... ${lines.filter((line) => line !== "" && !line.startsWith("#")).length} series in all`);
  blank();
}

function shorter(line: string): string {
  return line.replaceAll(/([0-9a-f]{13})[0-9a-f]{51}/g, "$1...");
}

/** The bridge has one name and one subnet, so two quickstarts at once would mix up their addresses. */
async function refuseSecond(): Promise<void> {
  const ports = await readdir(`/sys/class/net/${bridge}/brif`).catch(() => undefined);
  if (ports !== undefined && ports.length > 0) {
    throw new Error(
      `the bridge ${bridge} is in use: another quickstart is running; end it with 'npm run quickstart -- --stop FOLDER'`,
    );
  }
}

async function stop(folder: string): Promise<void> {
  if (!existsSync(placeAt(folder).configFile)) throw new Error(`${folder} holds no quickstart`);
  await timed("removed", () => removeEverything(placeAt(folder)));
}

function showLogTail(place: Place): void {
  if (!existsSync(place.logFile)) return;
  title("It did not work. The end of the daemon's log");
  say(readFileSync(place.logFile, "utf8").split("\n").slice(-30).join("\n"));
}

function tellHowToUse(place: Place, metricsUrl: string): void {
  title("It is left running");
  say(`socket     ${place.socket}
metrics    ${metricsUrl}
log        ${place.logFile}

crictl     crictl --runtime-endpoint unix://${place.socket} pods
           or in /etc/crictl.yaml:
             runtime-endpoint: unix://${place.socket}
             image-endpoint: unix://${place.socket}
ctr        ctr -a ${place.socket} -n k8s.io tasks ls
berth      export BERTH_ADDRESS=${place.socket}
kubelet    in its configuration file (see deploy/kubelet-config.yaml):
             containerRuntimeEndpoint: unix://${place.socket}
             cgroupDriver: cgroupfs

stop       npm run quickstart -- --stop ${place.folder}`);
}

function tellHowToGoOn(): void {
  title("How to go on");
  say(`npm run quickstart -- --keep      leave it running, with settings for crictl and the kubelet
bin/berthd config default         every setting, explained (also in docs/configuration.md)
deploy/README.md                  run it as a service under a kubelet
npm run bench                     the same pods on containerd and on Berth, side by side`);
}
