// SPDX-License-Identifier: Apache-2.0
// The trial of an OCI runtime: of crun as it is, and of programs in its place that fail, hang and lie.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { cgroupMounts } from "../../../src/base/os/mount-table.ts";
import { defaultConfig } from "../../../src/config/defaults.ts";
import { readNodeFacts } from "../../../src/cri/handlers/default-runtime/node-facts.ts";
import { identityOf } from "../../../src/cri/handlers/default-runtime/program-identity.ts";
import type { TrialOutcome } from "../../../src/cri/handlers/default-runtime/remembered-choice.ts";
import { tryCrun } from "../../../src/cri/handlers/default-runtime/try-crun.ts";
import { buildSandboxSpec } from "../../../src/cri/oci-spec/build-sandbox-spec.ts";
import { readHostFacts } from "../../../src/cri/oci-spec/host-facts.ts";
import { noRuntimeFeatures } from "../../../src/cri/oci-spec/runtime-features.ts";
import { createSpecServices } from "../../../src/cri/oci-spec/spec-services.ts";
import { createLog } from "../../../src/log/logger.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import { preparePauseRootfs } from "../../../src/pause/pause-rootfs.ts";
import { clearTrials } from "../../../src/runtime/trial/clear-trial.ts";
import { tryRuntime } from "../../../src/runtime/trial/runtime-trial.ts";
import { crunHere } from "../../support/crun-here.ts";
import { lacking } from "../../support/lacking.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";

const debian12 = "crun version 1.8.1\\n+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +YAJL";
const usual = { ...noRuntimeFeatures, recursiveReadOnlyMounts: true, cgroupNamespaces: true };

/** What stands in crun's place does: a line of shell for each command, `REAL` being crun's own answer to it. */
interface Stand {
  readonly version?: string;
  readonly create?: string;
  readonly start?: string;
  readonly kill?: string;
  readonly delete?: string;
}

suite("trial", { skip: lacking("crun", "runc") }, () => {
  let home: Scratch;
  let real: string;
  let trials: string;
  let attempt: (program: string, options?: Options) => Promise<TrialOutcome>;
  interface Options {
    readonly callMs?: number;
    readonly seenMs?: number | undefined;
    readonly signal?: AbortSignal;
  }
  before(async () => {
    home = await scratch({ prefix: "trial" });
    real = await crunHere(await home.folder("real"));
    trials = path.join(home.path, "trials");
    const { log } = await createLog({ level: "fatal", format: "json" });
    const { signal: always } = new AbortController();
    const [host, pause] = await Promise.all([
      readHostFacts(),
      preparePauseRootfs({ binary: pauseBinaryPath(), folder: path.join(home.path, "pause") }),
    ]);
    const services = {
      ...createSpecServices(defaultConfig, host, log, always),
      pulledProfile: () => Promise.reject(new Error("there is none")),
      profiles: { read: () => Promise.reject(new Error("there is none")) },
    };
    const specs = {
      sandbox: (input: Parameters<typeof buildSandboxSpec>[0]) =>
        buildSandboxSpec(input, services as never),
    };
    attempt = async (program, { callMs, seenMs = 25_000, signal = always } = {}) => {
      const container = { specs, host, pauseRootfs: pause.path };
      const facts = await readNodeFacts(defaultConfig.runtime, {
        ...container,
        unseen: { program: path.join(home.path, "unseen/crun"), binary: pauseBinaryPath() },
      });
      const limit = callMs === undefined ? {} : { callMs };
      const options = { log, signal, seenMs, ...limit };
      return tryCrun(
        {
          ...container,
          cri: defaultConfig.cri,
          runcFeatures: async () => usual,
          trials: {
            run: (trial) => tryRuntime({ ...trial, folder: trials }, options),
            clear: () => clearTrials(trials, log),
          },
        },
        { ...facts, unseen: null, crun: (await identityOf(program)) ?? null },
        { signal },
      );
    };
  });
  after(async () => home?.[Symbol.asyncDispose]());

  async function stand(name: string, does: Stand): Promise<string> {
    const file = path.join(await home.folder(name), "crun");
    const run = `'${real}' "$@"`;
    const lines = Object.entries(does)
      .filter(([command]) => command !== "version")
      .map(([command, text]) => `*" ${command} "*) ${text.replaceAll("REAL", run)} ;;`);
    const text = [
      "#!/bin/sh",
      `[ "$1" = --version ] && { printf '${does.version ?? debian12}\\n'; exit; }`,
      '[ "$1" = features ] && exit 1',
      `pidfile() { while [ "$1" != --pid-file ]; do shift; done; echo "$2"; }`,
      'case " $* " in',
      ...lines,
      "esac",
      `exec ${run}`,
      "",
    ].join("\n");
    await writeFile(file, text, { mode: 0o755 });
    return file;
  }

  async function nothingLeft(): Promise<void> {
    assert.deepEqual(await readdir(trials).catch(() => []), []);
    for (const { mountPoint } of await cgroupMounts()) {
      const own = (await readdir(mountPoint)).filter((name) => name.startsWith("berth-trial-"));
      assert.deepEqual(own, [], mountPoint);
    }
  }

  test("crun passes where it works, with what the kernel shows of it", async () => {
    const { features, version, reason } = await attempt(real);
    assert.match(reason, /has run a container here/);
    assert.match(version, /^\d+\.\d+/);
    assert.equal(features?.recursiveReadOnlyMounts, true);
    assert.equal(features?.cgroupNamespaces, true);
    assert.deepEqual(features?.mountOptions.toSorted(), ["nodev", "noexec", "nosuid"]);
    await nothingLeft();
  });

  /** `seenMs` where something never comes, after what has to come. */
  const refused: [string, Stand, RegExp, seenMs?: number][] = [
    ["another program", { version: "podman 4" }, /says that it is another program/],
    ["one that fails", { create: "exit 3" }, /its create fails: crun exited with 3/],
    [
      "one that says why",
      { create: `echo '{"msg":"no cgroups here"}' >"$4"; exit 1` },
      /its create fails: no cgroups here/,
    ],
    ["one that does nothing", { create: "exit 0" }, /its create makes no process/],
    [
      "one that names a process of others",
      { create: `echo ${process.pid} >"$(pidfile "$@")"; exit 0`, start: "exit 0" },
      /its start does not run/,
      500,
    ],
    ["one that does not start", { start: "exit 0" }, /its start does not run/, 500],
    ["one that does not kill", { kill: "exit 0" }, /its kill ends no process/, 5_000],
    ["one that does not delete", { delete: "exit 0" }, /its delete leaves the cgroup/],
  ];
  for (const [name, does, expected, seenMs] of refused) {
    test(`${name} is refused, and nothing is left`, async () => {
      const { features, reason } = await attempt(await stand(name, does), { seenMs });
      assert.equal(features, undefined);
      assert.match(reason, expected);
      await nothingLeft();
    });
  }

  const undecided: [string, Stand, string][] = [
    ["one that hangs before it creates", { create: "sleep 1000" }, "DEADLINE_EXCEEDED"],
    ["one that hangs once it has", { create: "REAL; sleep 1000" }, "DEADLINE_EXCEEDED"],
    ["one that floods", { create: "exec yes" }, "RESOURCE_EXHAUSTED"],
  ];
  for (const [name, does, code] of undecided) {
    test(`${name} is ended, and nothing is left`, async () => {
      const program = await stand(name, does);
      await assert.rejects(attempt(program, { callMs: 1_000 }), { code });
      await nothingLeft();
    });
  }

  test("one that is cut short is cleared by its own daemon, and by the next", async () => {
    const started = path.join(home.path, "started");
    const program = await stand("slow", { start: `REAL; touch '${started}'; sleep 1000` });
    for (const byNext of [false, true]) {
      const abort = new AbortController();
      const attempted = assert.rejects(attempt(program, { signal: abort.signal }), {
        code: "CANCELLED",
      });
      await until("its container runs", () => existsSync(started));
      await rm(started);
      if (byNext) {
        await clearTrials(trials, (await createLog({ level: "fatal", format: "json" })).log);
        await nothingLeft();
      }
      abort.abort();
      await attempted;
      await nothingLeft();
    }
  });
});
