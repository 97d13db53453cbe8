// SPDX-License-Identifier: Apache-2.0
// Loads all the code of the daemon and ends: what Node compiled is then in its cache. bin/berthd runs
// it when the code is newer than the cache. A thread, the main one too, that finds a single file missing there loads
// the type stripper, a WebAssembly program that keeps some 30 MB for as long as the daemon lives.
import "../daemon.ts";
import { withKoffi } from "../base/os/koffi.ts";
import { startTimer } from "../base/timers.ts";
import "./serve.ts";

/** The daemon's start waits for this program. */
const limitMs = 300_000;
// oxlint-disable-next-line unicorn/no-process-exit -- whatever it waits for then
startTimer(() => process.exit(), limitMs).unref();

process.argv.splice(2, Number.POSITIVE_INFINITY, "version");
await import("./berthd.ts"); // the entry, too
withKoffi(() => {});

/** What is loaded only when it is wanted, and the entries of threads. */
const later = [
  "../nri/nri.ts",
  "../nri/asked-half.ts",
  "../cri/oci-spec/nri/apply-adjustment.ts",
  "../cri/oci-spec/cdi/cdi-spec.ts",
  "../cri/oci-spec/classes/blockio-config.ts",
  "../log/pretty.ts",
  "../trees/run-here.ts",
  "./import-command.ts",
  "../rpc/further-socket.ts",
  "../metadata/sqlite/file-header.ts",
  "../metadata/sqlite/writer-thread.ts",
  "../network/netns-worker.ts",
  "../logs/worker.ts",
  "../streaming/worker.ts",
  "../trees/worker.ts",
  "../images/manifest/document-worker.ts",
  "../images/unpack/lower-links.ts",
  "../metrics/kernel-figures-thread.ts",
  "../cri/oci-spec/seccomp/profile-worker.ts",
  "../plugin/operator/worker.ts",
  "../kube/worker.ts",
];
for (const module of later) {
  try {
    await import(module);
  } catch {
    // A thread's entry may refuse the main thread: it is compiled by then.
  }
}
