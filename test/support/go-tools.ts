// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { findProgram } from "./lacking.ts";
import { run } from "./run.ts";

/** A tool of the Go tools module: how it is built, and from which module. */
interface GoTool {
  /** Folder of its go.mod, below test/e2e/tools. */
  readonly module: string;
  readonly package: string;
  /** critest is a test binary. */
  readonly asTest?: boolean;
  /** Packages compiled at once; default 1, since other things run meanwhile. */
  readonly parallel?: number;
}

const tools = {
  crictl: { module: ".", package: "sigs.k8s.io/cri-tools/cmd/crictl" },
  critest: { module: ".", package: "sigs.k8s.io/cri-tools/cmd/critest", asTest: true },
  // What critest starts for `-parallel`.
  ginkgo: { module: "ginkgo", package: "github.com/onsi/ginkgo/v2/ginkgo" },
  "containerd-shim-runc-v2-1.7": {
    module: "shim-1.7",
    package: "github.com/containerd/containerd/cmd/containerd-shim-runc-v2",
  },
  "containerd-shim-runc-v2-2.1": {
    module: "shim-2.1",
    package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
  },
  "containerd-shim-runc-v2-2.3": {
    module: "shim-2.3",
    package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
  },
  "containerd-shim-runc-v2-2.4": {
    module: "shim-2.4",
    package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
  },
  // What the bench measures beside Berth. No test needs it.
  "containerd-2.4": {
    module: "containerd-2.4",
    package: "github.com/containerd/containerd/v2/cmd/containerd",
    parallel: 2,
  },
  // What builds images on Berth's socket in test/e2e/buildkit.test.ts, where somebody has built it.
  buildkitd: { module: "buildkit", package: "github.com/moby/buildkit/cmd/buildkitd", parallel: 2 },
  buildctl: { module: "buildkit", package: "github.com/moby/buildkit/cmd/buildctl", parallel: 2 },
  // Ours, of containerd's client library.
  goclient: { module: "goclient", package: "." },
  // Ours, of NRI's own stub: what tests make misbehave.
  nriplugin: { module: "nri", package: "." },
  // NVIDIA's plugin, which is a package of theirs and a main function of ours.
  "nri-nvidia": { module: "nri-nvidia", package: "." },
  // Some 1,500 packages, so it takes what a machine of two cores has.
  kubelet: { module: "kubelet", package: "k8s.io/kubernetes/cmd/kubelet", parallel: 2 },
  // The kubelet's packages for the most part.
  "kube-apiserver": {
    module: "control-plane",
    package: "k8s.io/kubernetes/cmd/kube-apiserver",
    parallel: 2,
  },
  kubectl: { module: "control-plane", package: "k8s.io/kubernetes/cmd/kubectl", parallel: 2 },
  // For a cluster. The API server's packages and the kubelet's, for the most part.
  "kube-controller-manager": {
    module: "control-plane",
    package: "k8s.io/kubernetes/cmd/kube-controller-manager",
    parallel: 2,
  },
  "kube-scheduler": {
    module: "control-plane",
    package: "k8s.io/kubernetes/cmd/kube-scheduler",
    parallel: 2,
  },
  "kube-proxy": {
    module: "control-plane",
    package: "k8s.io/kubernetes/cmd/kube-proxy",
    parallel: 2,
  },
  // CoreDNS's packages with a main function of ours, which leaves the cloud providers' plugins out.
  coredns: { module: "control-plane", package: "./coredns", parallel: 2 },
  "metrics-server": {
    module: "metrics-server",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    parallel: 2,
  },
  // Kubernetes' own tests of a node, which have an API server and an etcd in them, and the image that most of them run.
  "e2e-node": {
    module: "e2e-node",
    package: "k8s.io/kubernetes/test/e2e_node",
    asTest: true,
    parallel: 2,
  },
  agnhost: { module: "e2e-node", package: "k8s.io/kubernetes/test/images/agnhost", parallel: 2 },
  nnp: { module: "e2e-node", package: "k8s.io/kubernetes/test/images/nonewprivs" },
} as const satisfies Record<string, GoTool>;

export type GoToolName = keyof typeof tools;
export const goToolNames = Object.keys(tools) as GoToolName[];

const modules = path.resolve(import.meta.dirname, "../e2e/tools");

/** Where built tools are kept, outside the checkout: $BERTH_TOOLS, or ~/.cache/berth-tools. */
export function toolsCache(): string {
  return process.env["BERTH_TOOLS"] || path.join(os.homedir(), ".cache", "berth-tools");
}

/** The tool's binary when it is built from the present go.mod, go.sum and sources of ours. */
export async function builtTool(name: GoToolName): Promise<string | undefined> {
  const binary = path.join(toolsCache(), "bin", name);
  const stamp = await readFile(stampOf(name), "utf8").catch(() => "");
  return existsSync(binary) && stamp === (await keyOf(name)) ? binary : undefined;
}

export interface BuildOptions {
  readonly say?: (line: string) => void;
}

/** The tool's binary, built first when need be. Throws, with what to do, when Go is missing. */
export async function buildTool(
  name: GoToolName,
  { say = () => {} }: BuildOptions = {},
): Promise<string> {
  const known = await builtTool(name);
  if (known !== undefined) return known;
  const tool: GoTool = tools[name];
  const go = findGo();
  if (go === undefined) {
    throw new Error(`${name} is built with Go, and there is none in PATH or /usr/local/go/bin`);
  }
  const folder = path.join(modules, tool.module);
  const binary = path.join(toolsCache(), "bin", name);
  await mkdir(path.dirname(binary), { recursive: true });
  await mkdir(path.dirname(stampOf(name)), { recursive: true });
  const fresh = `${binary}.${process.pid}`;
  say(`building ${name} (${tool.package}) with ${go} …`);
  const build = tool.asTest === true ? ["test", "-c", "-vet=off"] : ["build"];
  const parallel = String(tool.parallel ?? 1);
  const flags = ["-p", parallel, "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", fresh];
  const result = await run("nice", ["-n", "10", go, ...build, ...flags, tool.package], {
    cwd: folder,
    timeoutMs: 40 * 60_000,
    env: { CGO_ENABLED: "0", GOWORK: "off", GOFLAGS: "-buildvcs=false" },
  });
  if (result.code !== 0) {
    await rm(fresh, { force: true });
    throw new Error(`building ${name}: ${result.stderr.trim() || `exit ${result.code}`}`);
  }
  await rename(fresh, binary);
  await writeFile(stampOf(name), await keyOf(name));
  say(`built ${binary}`);
  return binary;
}

/** For tests: the binary, or the reason to skip. Builds when Go is there. */
export async function toolOrReason(
  name: GoToolName,
): Promise<{ readonly path: string; readonly skip: false } | { readonly skip: string }> {
  try {
    return { path: await buildTool(name), skip: false };
  } catch (error) {
    return { skip: `needs ${name}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function stampOf(name: GoToolName): string {
  return path.join(toolsCache(), "keys", name);
}

async function keyOf(name: GoToolName): Promise<string> {
  const hash = createHash("sha256");
  const { module, package: built }: GoTool = tools[name];
  const folder = path.join(modules, module);
  // The rest of a module of our own is part of the tool, too.
  const own = built.startsWith(".") ? await readdir(path.join(folder, built)) : [];
  const sources = own.filter((one) => one.endsWith(".go")).toSorted();
  for (const file of ["go.mod", "go.sum", ...sources.map((one) => path.join(built, one))]) {
    hash.update(await readFile(path.join(folder, file)));
  }
  return hash.digest("hex");
}

function findGo(): string | undefined {
  const usual = "/usr/local/go/bin/go";
  return findProgram("go") ?? (existsSync(usual) ? usual : undefined);
}
