// SPDX-License-Identifier: Apache-2.0
import { startContainerd } from "../test/support/containerd.ts";
import { startDaemon } from "../test/support/daemon.ts";
import { builtTool } from "../test/support/go-tools.ts";
import { findProgram } from "../test/support/lacking.ts";
import type { Cri } from "../test/support/pods.ts";

/** Berth, the newest containerd that the Go tools have, and Debian's. */
export const contenderNames = ["berth", "containerd-2.4", "containerd"] as const;

export type ContenderName = (typeof contenderNames)[number];

/** A runtime in the bench: the same client, OCI runtime, shim, CNI plugins and image for each. */
export interface Contender extends AsyncDisposable {
  readonly name: ContenderName;
  /** As it tells it itself. */
  readonly version: string;
  readonly cri: Cri;
  readonly pid: number;
  /** What its shims were told; finds them in /proc. */
  readonly socket: string;
  /** Kills the daemon; pods run on. */
  readonly kill: () => Promise<void>;
  /** Starts it again; until it serves. */
  readonly start: () => Promise<void>;
}

/** What pods are run with, the same for each contender. */
export interface PodPrograms {
  /** Path of the shim; undefined for the one on PATH, which is Debian's. */
  readonly shim?: string | undefined;
  /** Name or path of the OCI runtime; undefined for what each takes by default. */
  readonly ociRuntime?: string | undefined;
  /** Berth's `cri.sandbox`; undefined for its default. */
  readonly sandbox?: string | undefined;
}

/** runc for all, whatever is quicker on this machine. */
export const usualPrograms: PodPrograms = { ociRuntime: "runc" };

/** The daemon's program of a containerd; undefined where it is not installed, or not built. */
export function containerdProgram(
  name: Exclude<ContenderName, "berth">,
): Promise<string | undefined> {
  return name === "containerd-2.4"
    ? builtTool("containerd-2.4")
    : Promise.resolve(findProgram("containerd"));
}

/** Starts one on roots and a network of its own. `sandboxImage` is for containerd; ours is built in. */
export function startContender(
  name: ContenderName,
  sandboxImage: string,
  programs: PodPrograms = usualPrograms,
): Promise<Contender> {
  return name === "berth" ? startBerth(programs) : startPeer(name, sandboxImage, programs);
}

async function startPeer(
  name: Exclude<ContenderName, "berth">,
  sandboxImage: string,
  { ociRuntime, shim }: PodPrograms,
): Promise<Contender> {
  const daemon = await containerdProgram(name);
  if (daemon === undefined) throw new Error(`there is no ${name}`);
  const peer = await startContainerd(sandboxImage, {
    daemon,
    ...(shim !== undefined && { shim }),
    ...(ociRuntime !== undefined && { ociRuntime }),
  });
  return {
    name,
    version: await versionOf(peer.cri),
    cri: peer.cri,
    get pid() {
      return peer.pid;
    },
    socket: peer.socket,
    kill: () => peer.kill9(),
    start: () => peer.start(),
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
}

async function startBerth({ ociRuntime, sandbox, shim }: PodPrograms): Promise<Contender> {
  const runc = { ...(shim !== undefined && { shim }), binary_name: ociRuntime ?? "" };
  const daemon = await startDaemon({
    logLevel: "info",
    ociRuntime: ociRuntime === undefined ? "crun" : "runc",
    config: {
      runtime: { handlers: { runc } },
      ...(sandbox !== undefined && { cri: { sandbox } }),
    },
  });
  return {
    name: "berth",
    version: await versionOf(daemon.cri),
    cri: daemon.cri,
    get pid() {
      return daemon.pid();
    },
    socket: daemon.socket,
    kill: () => daemon.kill9(),
    start: () => daemon.start(),
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}

async function versionOf(cri: Cri): Promise<string> {
  return (await cri.runtime.Version({})).runtimeVersion;
}
