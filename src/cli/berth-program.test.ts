// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fault } from "../base/errors.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { aborted } from "../base/waits.ts";
import type { PodSandboxInit } from "../gen/cri.gen.ts";
import { Transfer } from "../images/progress/transfer.ts";
import { flawsOf } from "../oci/runtime-flaws.ts";
import { GrpcServer } from "../rpc/grpc-server.ts";
import { createBerthImagesService } from "../services/berth-images-service.ts";
import { createBerthNriService, type ListedPlugin } from "../services/berth-nri-service.ts";
import { createBerthOperationsService } from "../services/berth-operations-service.ts";
import { buildBerth } from "./berth-program.ts";
import { runProgram } from "./run-program.ts";

const folder = mkdtempSync(path.join(tmpdir(), "berth cli "));
const socket = path.join(folder, "b.sock");
const pod = {
  id: "4f1c00000000000000000000",
  metadata: { name: "web", namespace: "default", uid: "u1", attempt: 1 },
  state: "SANDBOX_READY",
  createdAt: BigInt(Date.now() - 5_401_000) * 1_000_000n,
  labels: { app: "web" },
} as const;
const container = {
  id: "c0ffee00000000000000",
  podSandboxId: pod.id,
  metadata: { name: "main", attempt: 0 },
  image: { image: "docker.io/library/busybox:1" },
  state: "CONTAINER_RUNNING",
  createdAt: pod.createdAt,
  imageId: `sha256:${"ab".repeat(32)}`,
} as const;
const usedImage = `sha256:${"ab".repeat(32)}`;
/** What ListPodSandbox answers. */
let listed: PodSandboxInit = pod;
let networkIsReady = true;
let server: GrpcServer;

const changedBy = [
  { by: "10-pinning", fields: ["CPUSetCPUs", "Env FOO"] },
  { by: "inject-env", fields: ["process.env"] },
];
let nriPlugins: readonly ListedPlugin[] | undefined = [
  {
    index: "10",
    name: "pinning",
    kind: "external",
    state: "serving",
    reason: undefined,
    version: "v0.12.5",
    events: ["CreateContainer", "StopContainer"],
    since: Date.now() - 61_000,
    calls: {
      CreateContainer: { count: 3, totalMs: 9, longestMs: 9, failures: 1, adjustments: 3 },
      StopContainer: { count: 1, totalMs: 1, longestMs: 1, failures: 0, adjustments: 0 },
    },
  },
  {
    index: "20",
    name: "logger",
    kind: "launched",
    state: "gone",
    reason: "it has closed its connection",
    version: "unknown",
    events: Array.from({ length: 13 }, (_, at) => `Event${at}`),
    since: Date.now() + 3_600_000,
    calls: {},
  },
];

before(async () => {
  server = new GrpcServer({ path: socket });
  server.add("runtime.v1.RuntimeService", {
    Version: async () => ({
      version: "0.1.0",
      runtimeName: "berth",
      runtimeVersion: "0.1.0",
      runtimeApiVersion: "v1",
    }),
    Status: async () => ({
      status: {
        conditions: [
          { type: "RuntimeReady", status: true },
          {
            type: "NetworkReady",
            status: networkIsReady,
            reason: networkIsReady ? "" : "NoConfig",
          },
        ],
      },
      runtimeHandlers: [
        { name: "runc", features: { recursiveReadOnlyMounts: true, userNamespaces: false } },
      ],
      info: {
        flawedRuntimes: JSON.stringify([
          {
            handler: "runc",
            binary: "runc",
            version: "1.3.5",
            build: "1.3.5-1",
            flaws: flawsOf("runc", "1.3.5"),
          },
        ]),
      },
    }),
    RuntimeConfig: async () => ({ linux: { cgroupDriver: "CGROUPFS" } }),
    ListPodSandbox: async ({ filter }) => ({
      items: pod.id.startsWith(filter?.id ?? "") ? [listed] : [],
    }),
    PodSandboxStatus: async () => ({ status: { ...pod, network: { ip: "10.0.0.2" } } }),
    ListContainers: async ({ filter }) => ({
      containers: filter?.state?.state === "CONTAINER_EXITED" ? [] : [container],
    }),
    ContainerStatus: async ({ verbose }) => ({
      status: { ...container, logPath: "/var/log/pods/web/0.log" },
      info: verbose ? { info: JSON.stringify({ changedBy }) } : {},
    }),
  });
  server.add("runtime.v1.ImageService", {
    ListImages: async () => ({
      images: [
        { id: "sha256:abcdef0123456789", repoTags: ["a:1"], size: 1_500_000n, pinned: true },
      ],
    }),
    ImageStatus: async ({ image }) => ({
      image: image?.image?.startsWith("a:")
        ? { id: usedImage, repoTags: ["a:1", "a:2"], repoDigests: [] }
        : null,
    }),
    RemoveImage: async () => ({}),
  });
  server.add("containerd.services.events.v1.Events", {
    Subscribe: async function* (_request, { signal }) {
      await aborted(signal);
      yield {};
    },
  });
  server.add(
    "berth.v1.Images",
    createBerthImagesService({
      find: () => undefined,
      unpack: async () => {},
      load: async (file, { name, onImage, onStep }) => {
        if (!file.endsWith(".tar"))
          throw fault("INVALID_ARGUMENT", `"${file}" is no image archive`);
        const image = { id: "sha256:1", repoTags: ["other:1"], repoDigests: [] };
        const digest = `sha256:${"cd".repeat(32)}` as never;
        const step = { digest, kind: "layer", doneBytes: 5, totalBytes: 5 } as const;
        if (file.endsWith("/told.tar")) onStep?.({ ...step, state: "loading" });
        onImage?.(image as never, [name ?? "none"]);
        return [image] as never;
      },
      verify: async function* () {
        const object = "content sha256:1";
        yield { images: ["a:1"], object, problem: "its file is gone", isDropped: true };
        return { images: 1, blobs: 3, layers: 1 };
      },
      pull: async () => ({ id: "sha256:2" }) as never,
      pulling: () => {
        const transfer = new Transfer("pull", "a:1");
        const digest = `sha256:${"ab".repeat(32)}` as never;
        const step = { digest, kind: "layer", doneBytes: 5, totalBytes: 5 } as const;
        transfer.step({ ...step, state: "done" });
        return transfer;
      },
      push: async (reference, { destination, auth }) => {
        if (reference === "far:1") throw fault("UNAVAILABLE", 'cannot push "far:1": ECONNREFUSED');
        const { username = "", password = "" } = auth ?? {};
        const name = [destination ?? reference, username, password].join(" ");
        return { name, digest: "sha256:1" as never, left: [] };
      },
    }),
  );
  server.add(
    "berth.v1.Operations",
    createBerthOperationsService(() => [
      {
        rpc: "StopPodSandbox",
        object: pod.id,
        seconds: 12,
        stages: [{ stage: "network", seconds: 11 }],
      },
    ]),
  );
  server.add(
    "berth.v1.Nri",
    createBerthNriService(() => nriPlugins),
  );
  await server.listen();
});
after(async () => {
  await server.close();
  removeFolderSync(folder);
});

async function berth(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const io = {
    out: (text: string) => void (out += text),
    error: (text: string) => void (err += text),
    env: { BERTH_ADDRESS: socket },
  };
  const code = await runProgram(buildBerth(io), args, io);
  return { code, out, err };
}

const shown: readonly { args: string[]; says: RegExp }[] = [
  { args: ["version"], says: /^daemon +berth 0\.1\.0$/m },
  {
    args: ["status"],
    says: /^RuntimeReady +yes$[^]*^runc +recursiveReadOnlyMounts$[^]*^cgroup driver: cgroupfs$/m,
  },
  {
    args: ["status"],
    says: /^runc +runc 1\.3\.5 +CVE-2026-41579 +1\.3\.6, 1\.4\.3, 1\.5\.0-rc\.3 +\S.*$[^]*\(1\.3\.5-1\): ask its security tracker\.$/m,
  },
  { args: ["pod", "ls"], says: /^4f1c000000000 +default +web +1 +ready +1h30m +\(default\)$/m },
  {
    args: ["pod", "inspect", "4f1c"],
    says: /^address +10\.0\.0\.2$[^]*^c0ffee0000000 +main +running[^]*^main +10-pinning +CPUSetCPUs, Env FOO$[^]*^main +inject-env +process\.env$[^]*^StopPodSandbox .* network \(11s\)$/m,
  },
  {
    args: ["ps"],
    says: /^c0ffee0000000 +main +running +0 +1h30m +docker\.io\/library\/busybox:1 +4f1c000000000$/m,
  },
  { args: ["image", "ls"], says: /^a:1 +abcdef0123456 +1\.4MiB +yes$/m },
  { args: ["image", "ls", "-q"], says: /^sha256:abcdef\w+\n$/ },
  { args: ["image", "load", "/x/y.tar", "--name", "b:2"], says: /^loaded b:2$/m },
  {
    args: ["image", "push", "a:1", "example.com/b:2", "-u", "me:pw"],
    says: /^pushed example\.com\/b:2 me pw: sha256:1$/m,
  },
  {
    args: ["nri", "ls"],
    says: /^10-pinning +external +serving +1m\d+s +CreateContainer StopContainer +4 +2\.5ms +9\.0ms +1 +3 +-$/m,
  },
  {
    args: ["nri", "ls"],
    says: /^20-logger +launched +gone +0s +all +0 +- +- +0 +0 +it has closed its connection$/m,
  },
  {
    args: ["nri", "inspect", "pinning"],
    says: /^plugin +10-pinning$[^]*^events +CreateContainer StopContainer$[^]*^CreateContainer +3 +3\.0ms +9\.0ms +1 +3$/m,
  },
  {
    args: ["nri", "inspect", "20-logger"],
    says: /^state +gone: it has closed its connection$[^]*^it has not been called$/m,
  },
  { args: ["complete", "nri", "inspect", "1"], says: /^10-pinning\n$/ },
  { args: ["operations"], says: /^StopPodSandbox +4f1c0+ +12s +network \(11s\)$/m },
];
for (const { args, says } of shown) {
  test(`berth ${args.join(" ")} shows what the daemon has`, async () => {
    const { code, out, err } = await berth(...args);
    assert.equal(err, "");
    assert.equal(code, 0);
    assert.match(out, says);
  });
}

test("berth prints JSON with --json, before the command's name or after it", async () => {
  for (const args of [
    ["--json", "pod", "ls"],
    ["pod", "ls", "--json"],
  ]) {
    const { out } = await berth(...args);
    const [first] = JSON.parse(out) as { id: string; createdAt: string }[];
    assert.deepEqual([first?.id, first?.createdAt], [pod.id, pod.createdAt.toString()]);
  }
});

test("what others named does not move the terminal, nor make rows of its own", async () => {
  const evil = "\u001b[2J\u009b1A\nweb   ready";
  listed = { ...pod, metadata: { ...pod.metadata, name: evil } };
  try {
    const { out } = await berth("pod", "ls");
    assert.match(out, /\\u001b\[2J\\u009b1A\\u000aweb/);
    assert.equal(out.trimEnd().split("\n").length, 2);
    const { out: json } = await berth("pod", "ls", "--json");
    assert.ok(!json.includes("\u001b") && !json.includes("\u009b"));
    const [first] = JSON.parse(json) as { metadata: { name: string } }[];
    assert.equal(first?.metadata.name, evil);
  } finally {
    listed = pod;
  }
});

test("image rm removes what is there, tells all names and who uses it, and fails for the rest", async () => {
  const { code, out, err } = await berth("image", "rm", "nope", "a:1", "gone", "a:2");
  assert.equal(out, "removed a:1 (ababababababa)\nremoved a:2 (ababababababa)\n");
  assert.equal(
    err,
    "warning: ababababababa is used by container c0ffee0000000, which goes on with what it has\n" +
      'berth: images "nope", "gone" not found in namespace "k8s.io"\n',
  );
  assert.equal(code, 1);
});

test("ps -q prints ids alone", async () => {
  assert.equal((await berth("ps", "-q")).out, `${container.id}\n`);
});

test("the doctor heeds flags before its name", async () => {
  const { out } = await berth("--json", "doctor", "--only", "clock");
  assert.ok(Array.isArray((JSON.parse(out) as { findings: unknown }).findings));
  const { out: there } = await berth("-a", "/nowhere/q.sock", "doctor", "--only", "daemon");
  assert.match(there, /\/nowhere\/q\.sock/);
});

const failing: readonly { args: string[]; code: number; says: RegExp }[] = [
  { args: ["pod", "inspect", "zzz"], code: 1, says: /^berth: pod "zzz" not found\n$/ },
  { args: ["nri", "inspect", "nope"], code: 1, says: /^berth: NRI plugin "nope" not found\n$/ },
  {
    args: ["image", "rm", "nope"],
    code: 1,
    says: /^berth: image "nope" not found in namespace "k8s\.io"\n$/,
  },
  {
    args: ["image", "push", "a:1", "-u", "me"],
    code: 2,
    says: /^berth: bad --user: expected user:password, or --password-stdin\n$/,
  },
  {
    args: ["image", "push", "far:1"],
    code: 1,
    says: /^berth: cannot push "far:1": ECONNREFUSED\n$/,
  },
  { args: ["image", "load", "/x/y"], code: 1, says: /^berth: "\/x\/y" is no image archive\n$/ },
  { args: ["pod", "ls", "-l", "x"], code: 2, says: /bad label "x": expected key=value/ },
  {
    args: ["ps", "--timeout", "5"],
    code: 2,
    says: /^berth: bad --timeout "5": expected a number with its unit, such as 30s or 5m, or 0 for no limit\n$/,
  },
  {
    args: ["events", "--timeout", "10ms"],
    code: 1,
    says: /^berth: gave up after 10ms, as --timeout says\n$/,
  },
  {
    args: ["ps", "-a", "/nowhere/b.sock"],
    code: 1,
    says: /^berth: cannot reach berthd on \/nowhere\/b\.sock: is it running there\? \(connect ENOENT \/nowhere\/b\.sock\)\n/,
  },
  {
    args: ["--json", "migrate", "--node", "n", "--dry-run"],
    code: 2,
    says: /^berth: berth migrate prints a line for each step, no JSON: leave out --json\n$/,
  },
  { args: ["--timeout", "1s", "doctor"], code: 2, says: /^berth: doctor takes no --timeout\n$/ },
  { args: ["-n", "x", "support"], code: 2, says: /^berth: support takes no --namespace\n$/ },
  {
    args: ["--json", "support", "-o", "-"],
    code: 2,
    says: /^berth: standard output is either the archive's \(-o -\) or JSON's \(--json\)\n$/,
  },
  {
    args: ["image", "export", "--platform", "bad", "a:1"],
    code: 2,
    says: /^berth: bad platform "bad": expected one such as linux\/arm64 or linux\/arm\/v7\n$/,
  },
  { args: ["image", "push", "--platform", "", "a:1"], code: 2, says: /^berth: bad platform ""/ },
  { args: ["pods"], code: 2, says: /unknown command 'pods'/ },
];
for (const { args, code, says } of failing) {
  test(`berth ${args.join(" ")} exits ${code} and says why`, async () => {
    const result = await berth(...args);
    assert.match(result.err, says);
    assert.equal(result.code, code);
  });
}

test("berth image pull tells how far it is on standard error, and what came of it on standard output", async () => {
  const { code, out, err } = await berth("image", "pull", "a:1");
  assert.deepEqual([code, out], [0, "pulled a:1: sha256:2\n"]);
  const step = { kind: "layer", state: "done", doneBytes: 5, totalBytes: 5, bytesPerSecond: 0 };
  assert.deepEqual(JSON.parse(err), { digest: `sha256:${"ab".repeat(32)}`, ...step });
  const quiet = await berth("image", "pull", "a:1", "--progress", "none");
  assert.deepEqual([quiet.code, quiet.err], [0, ""]);
  const odd = await berth("image", "pull", "a:1", "--progress", "loud");
  assert.equal(odd.code, 2);
});

test("berth image load tells how far it is, as pull does", async () => {
  const { code, out, err } = await berth("image", "import", "/x/told.tar");
  assert.deepEqual([code, out], [0, "loaded none\n"]);
  const step = { kind: "layer", state: "loading", doneBytes: 5, totalBytes: 5, bytesPerSecond: 0 };
  assert.deepEqual(JSON.parse(err), { digest: `sha256:${"cd".repeat(32)}`, ...step });
  const quiet = await berth("image", "load", "/x/told.tar", "--progress", "none");
  assert.deepEqual([quiet.code, quiet.err], [0, ""]);
});

test("berth nri says so when NRI is off", async () => {
  const listed = nriPlugins;
  nriPlugins = undefined;
  const { code, err } = await berth("nri", "ls");
  nriPlugins = listed;
  assert.equal(code, 1);
  assert.match(err, /^berth: NRI is off: \[nri\] enable is false\n$/);
});

test("berth nri inspect prints JSON with --json", async () => {
  const { out } = await berth("nri", "inspect", "pinning", "--json");
  const [plugin] = JSON.parse(out) as { index: string; calls: object[] }[];
  assert.equal(plugin?.index, "10");
  assert.deepEqual(plugin?.calls[0], {
    name: "CreateContainer",
    count: "3",
    totalSeconds: 0.009,
    longestSeconds: 0.009,
    failures: "1",
    adjustments: "3",
  });
});

test("berth pod inspect says as JSON which plugins changed what", async () => {
  const { out } = await berth("pod", "inspect", "4f1c", "--json");
  const { changes } = JSON.parse(out) as { changes: unknown };
  assert.deepEqual(
    changes,
    changedBy.map((change) => ({ of: "main", ...change })),
  );
});

test("berth status exits 1 when a condition does not hold", async () => {
  networkIsReady = false;
  const { code, out, err } = await berth("status");
  networkIsReady = true;
  assert.equal(code, 1);
  assert.match(out, /^NetworkReady +no +NoConfig$/m);
  assert.match(err, /not ready: NetworkReady/);
});
