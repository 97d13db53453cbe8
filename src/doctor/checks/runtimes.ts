// SPDX-License-Identifier: Apache-2.0
import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { toFault } from "../../base/errors.ts";
import { run } from "../../base/process.ts";
import { shellWord } from "../../base/shell-word.ts";
import type { RuntimeHandlerConfig } from "../../config/config.ts";
import { isRuncType } from "../../config/runc-options.ts";
import { createBlockioClasses } from "../../cri/oci-spec/classes/blockio.ts";
import { flawsOf } from "../../oci/runtime-flaws.ts";
import { pauseBinaryPath } from "../../pause/pause-binary.ts";
import { ShimBinaries } from "../../runtime/shim/binary.ts";
import type { Check } from "../check.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";
import { packageCommand } from "../package-command.ts";
import type { Patient } from "../patient.ts";

const answerMs = 5_000;

export const runtimes: Check = {
  name: "runtimes",
  about: "the shims and OCI runtimes of the handlers",
  needsConfig: true,
  run: async (patient, call) => {
    const folders = (await patient.searchPath()).map((folder) => patient.host.at(folder));
    const found: Finding[] = [];
    for (const [name, handler] of Object.entries(patient.config.runtime.handlers)) {
      found.push(...(await shimOf(patient, name, handler, folders)));
      if (isRuncType(handler.type))
        found.push(...(await runtimeOf(patient, [name, handler], folders, call)));
      found.push(...(await baseSpecOf(patient, name, handler)));
    }
    // Handlers share their programs.
    const once = new Map(found.map((one) => [one.what, one]));
    return [...once.values(), ...(await sandboxOf(patient)), ...(await blockioOf(patient))];
  },
};

/** As docs/support.md has it. */
const oldestShim = [1, 6] as const;

function isBefore(version: readonly number[], [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = version;
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}

/** The program that each pod begins with, which this same installation brings: no image is pulled for it. */
async function sandboxOf({ host }: Patient): Promise<Finding[]> {
  const file = pauseBinaryPath();
  if (!host.isOurs || (await isFile(file))) return [];
  return [
    error({
      what: `there is no ${file}, of which the sandbox image is made`,
      why: "berthd does not start: no pod can be without it",
      mend: file.startsWith("/usr/")
        ? "apt-get install -y --reinstall berth && systemctl restart berthd"
        : `cd ${shellWord(path.resolve(file, "../.."))} && scripts/setup.sh --run && systemctl restart berthd`,
    }),
  ];
}

async function blockioOf({ host, config, configuration }: Patient): Promise<Finding[]> {
  const { blockioConfigFile: file } = config.cri;
  if (file === "") return [];
  await host.reach(file);
  try {
    await createBlockioClasses(host.at(file)).read();
    return [];
  } catch (thrown) {
    const origin = configuration.originOf(["cri", "blockio_config_file"]);
    return [
      warning({
        what: toFault(thrown).message,
        why: "containers that ask for a class of block I/O are refused, and so is a reload that changes the key",
        mend: `vi ${shellWord(file)} # or without blockio_config_file in [cri] of ${origin}`,
      }),
    ];
  }
}

/** A path that the configuration names and that no package brings: the key is wrong, or the path. */
function keyMend({ configuration: { originOf } }: Patient, handler: string, key: string): string {
  const origin = originOf(["runtime", "handlers", handler, key]);
  const usual = key === "base_runtime_spec" ? "has the built-in one" : "has it looked for on PATH";
  return `vi ${shellWord(origin)} # ${key} in [runtime.handlers.${handler}] is to name a file that is there; without the key berthd ${usual}`;
}

async function shimOf(
  patient: Patient,
  name: string,
  { shim, type }: RuntimeHandlerConfig,
  folders: readonly string[],
): Promise<Finding[]> {
  const { host } = patient;
  try {
    const given = shim === "" ? "" : host.at(shim);
    const { path: file, version, isRunc } = await new ShimBinaries(folders).resolve(type, given);
    if (!(await isExecutable(file))) return [notExecutable(file, name)];
    if (isRunc && version === undefined) {
      return [
        error({
          what: `the shim ${file} of handler ${name} does not run: it tells no version`,
          why: "pods of this handler cannot be started: the file is damaged, or for another kind of machine",
          mend: await anew(host, file, "shim"),
        }),
      ];
    }
    if (isRunc && version !== undefined && isBefore(version, oldestShim)) {
      return [
        warning({
          what: `the shim ${file} of handler ${name} is ${version.join(".")}, older than ${oldestShim.join(".")}`,
          why: "berthd is tried with none so old; what newer ones have mended is told of in docs/advisories.md",
          mend: isPackages(file)
            ? "apt-get update && apt-get install -y --only-upgrade containerd containerd.io"
            : await anew(host, file, "shim"),
        }),
      ];
    }
    return [ok(`handler ${name}: ${file}${version ? ` ${version.join(".")}` : ""}`)];
  } catch (thrown) {
    const what = `handler ${name}: ${toFault(thrown).message}`;
    const why = "pods of this handler cannot be started; berthd needs the shim, and no containerd";
    return [
      error({
        what,
        why,
        mend: isElsewhere(shim)
          ? keyMend(patient, name, "shim")
          : isRuncType(type)
            ? await packageCommand(host, "shim")
            : `find / -xdev -type f -name 'containerd-shim-*' # its folder belongs on the PATH of berthd.service, or its path into [runtime.handlers.${name}] shim`,
      }),
    ];
  }
}

async function runtimeOf(
  patient: Patient,
  [name, { binaryName }]: readonly [string, RuntimeHandlerConfig],
  folders: readonly string[],
  { signal }: Cancellable,
): Promise<Finding[]> {
  const { host } = patient;
  const binary = binaryName || "runc";
  const places = binary.includes("/")
    ? [host.at(binary)]
    : folders.map((one) => path.join(one, binary));
  const there: string[] = [];
  for (const place of places) if (await isFile(place)) there.push(place);
  const [file] = there;
  if (file === undefined) {
    const what = `handler ${name}: there is no OCI runtime ${binary}${binary.includes("/") ? "" : " on PATH"}`;
    const mend = isElsewhere(binary)
      ? keyMend(patient, name, "binary_name")
      : await ociAnew(host, binary);
    return [error({ what, why: "its pods cannot be started", mend })];
  }
  if (!(await isExecutable(file))) return [notExecutable(file, name)];
  try {
    const options = { signal, timeoutMs: answerMs, maxOutputBytes: 65_536 };
    const { stdout } = await run(file, ["--version"], options);
    const [, program = "", version = ""] = /^(\w+) version (\S+)/m.exec(stdout.toString()) ?? [];
    const flaws = flawsOf(program, version);
    const told = ok(`handler ${name}: ${file}, ${program} ${version}`);
    if (flaws.length === 0) return [told];
    return [
      told,
      warning({
        what: `${file} is ${program} ${version}, which by its number has ${flaws.map(({ id }) => id).join(", ")}`,
        why: `for example: ${flaws.at(-1)?.what}. Distributions mend flaws without a new number: docs/advisories.md`,
        mend: `apt-get update && apt-get install -y --only-upgrade ${program}`,
      }),
    ];
  } catch (thrown) {
    const what = `handler ${name}: ${file} does not run: ${toFault(thrown).message}`;
    const mend = await ociAnew(host, binary, file);
    return [error({ what, why: "its pods cannot be started", mend })];
  }
}

/** What brings an OCI runtime that is missing, or damaged as `file`. */
async function ociAnew(host: Host, binary: string, file = ""): Promise<string> {
  const program = path.basename(binary);
  if (program !== "runc" && program !== "crun")
    return `timeout 5 ${shellWord(file || binary)} --version`;
  if (binary.includes("/") && !isPackages(binary))
    return `${await packageCommand(host, program)} && install -m 755 /usr/*bin/${program} ${shellWord(binary)}`;
  return anew(host, file, program);
}

/** What brings it again. One that no package has put there would stay, and be found first. */
async function anew(host: Host, file: string, what: "runc" | "crun" | "shim"): Promise<string> {
  const install = await packageCommand(host, what);
  return file === "" || isPackages(file)
    ? install
    : `mv ${shellWord(file)} ${shellWord(`${file}.broken`)} && ${install}`;
}

function isElsewhere(file: string): boolean {
  return file.includes("/") && !/^\/usr\/s?bin\/(runc|crun|containerd-shim-runc-v2)$/.test(file);
}

function isPackages(file: string): boolean {
  return /\/usr\/s?bin\/[^/]+$/.test(file);
}

async function baseSpecOf(
  patient: Patient,
  name: string,
  { baseRuntimeSpec: file }: RuntimeHandlerConfig,
): Promise<Finding[]> {
  if (file === "") return [];
  const { host } = patient;
  const what = await problemOfJson(() => host.text(file));
  if (what === undefined) return [];
  return [
    error({
      what: `base_runtime_spec of handler ${name}, ${file}: ${what}`,
      why: "its pods cannot be made",
      mend: (await host.has(file))
        ? `runc spec && mv config.json ${shellWord(file)}`
        : keyMend(patient, name, "base_runtime_spec"),
    }),
  ];
}

async function problemOfJson(read: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    const text = await read();
    if (text === undefined) return "there is no such file";
    JSON.parse(text);
    return undefined;
  } catch (thrown) {
    return toFault(thrown).message;
  }
}

function notExecutable(file: string, name: string): Finding {
  const why = `pods of handler ${name} cannot be started`;
  return error({ what: `${file} is not executable`, why, mend: `chmod 755 ${shellWord(file)}` });
}

async function isExecutable(file: string): Promise<boolean> {
  return (((await statOf(file))?.mode ?? 0) & 0o111) !== 0;
}

async function isFile(file: string): Promise<boolean> {
  return (await statOf(file))?.isFile() === true;
}

async function statOf(file: string): Promise<Stats | undefined> {
  return stat(file).catch(() => undefined);
}
