// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { shortened } from "../base/shortened.ts";
import type { Config, RuntimeHandlerConfig } from "./config.ts";
import { isRuncType, runcOptionNames } from "./runc-options.ts";
import { longestMessage, type SoundParts } from "./schema.ts";

/** sun_path holds 108 bytes with its terminating zero; the shims' socket has ".ttrpc" on top, and ".~" while it is made. */
const longestAddress = 107 - ".ttrpc.~".length;

/** A further socket has no other beside it. */
const longestFurther = 107 - ".~".length;

/** The largest answer that kubelets and crictl take. */
const clientMessageBytes = 16 * 1024 * 1024;

const runcOptions = new Set(Object.values(runcOptionNames));

const none = { faults: [], leftOut: [] };

/**
 * Checks what no single key shows. Throws INVALID_ARGUMENT with every fault and, by `originOf`, who
 * says so, after those that single keys have shown; returns warnings. Nothing is said of tables that are left out.
 */
export function checkConfig(
  config: Config,
  originOf: (key: readonly string[]) => string,
  { faults: earlier, leftOut }: Pick<SoundParts, "faults" | "leftOut"> = none,
): string[] {
  const found: string[] = [...earlier];
  const faults: Faults = (key, message) => {
    if (!leftOut.includes(key[0] ?? "")) found.push(`${message} (in ${originOf(key)})`);
  };
  const warnings: string[] = [];
  if (config.root === config.state) {
    faults(
      ["state"],
      `"root" and "state" are both ${config.root}: a reboot clears one and not the other`,
    );
  }
  if (Buffer.byteLength(config.grpc.address) > longestAddress) {
    faults(
      ["grpc", "address"],
      `"grpc.address" is ${Buffer.byteLength(config.grpc.address)} bytes long, and a socket path beside which ".ttrpc" fits has at most ${longestAddress}: ${config.grpc.address}`,
    );
  }
  checkFurtherSockets(config, faults);
  checkNri(config, faults);
  if (config.metrics.address !== "" && !isHostPort(config.metrics.address)) {
    faults(
      ["metrics", "address"],
      `"metrics.address" is "${config.metrics.address}", expected host:port such as 127.0.0.1:9464`,
    );
  }
  checkStreaming(config, faults, warnings);
  checkNotZero(config, faults);
  const { defaultHandler, handlers } = config.runtime;
  if (defaultHandler !== "" && !Object.hasOwn(handlers, defaultHandler)) {
    faults(
      ["runtime", "default_handler"],
      `"runtime.default_handler" is "${defaultHandler}", which is not among the handlers: ${Object.keys(handlers).join(", ")}`,
    );
  }
  if (!/^(|unconfined|runtime\/default|localhost\/.+)$/.test(config.cri.unsetSeccompProfile)) {
    faults(
      ["cri", "unset_seccomp_profile"],
      `"cri.unset_seccomp_profile" is "${config.cri.unsetSeccompProfile}", expected "", "unconfined", "runtime/default" or "localhost/PATH"`,
    );
  }
  if (!/^[^\s"'{}[\]()]*$/.test(config.cri.apparmorProfile)) {
    faults(
      ["cri", "apparmor_profile"],
      `"cri.apparmor_profile" is "${config.cri.apparmorProfile}", expected a profile's name without spaces, quotes and brackets`,
    );
  }
  for (const name of Object.keys(handlers)) checkHandler(config, name, faults, warnings);
  const { execSyncOutputLimitBytes: execLimit } = config.cri;
  const deliverable = Math.min(config.grpc.maxSendBytes, clientMessageBytes);
  if (execLimit > deliverable) {
    faults(
      ["cri", "exec_sync_output_limit"],
      `"cri.exec_sync_output_limit" is ${execLimit} bytes: an answer has at most ${deliverable}, by "grpc.max_send_message_size" and by what kubelets take (${clientMessageBytes})`,
    );
  }
  if (isPublic(config.metrics.address)) {
    warnings.push(
      `"metrics.address" ${config.metrics.address} is not on loopback: metrics name pods, and the endpoint has no authentication`,
    );
  }
  if (found.length > 0)
    throw fault("INVALID_ARGUMENT", shortened(found.join("\n"), longestMessage));
  return warnings;
}

function checkFurtherSockets({ grpc: { address, also } }: Config, faults: Faults): void {
  const fault = (message: string): void => faults(["grpc", "also"], `"grpc.also" ${message}`);
  const seen = new Set([address, `${address}.ttrpc`]);
  for (const file of also) {
    const bytes = Buffer.byteLength(file);
    if (seen.has(file)) fault(`has ${file} twice, or what "grpc.address" takes`);
    if (bytes > longestFurther) {
      fault(`has a path of ${bytes} bytes, and a socket's has at most ${longestFurther}: ${file}`);
    }
    seen.add(file);
  }
}

function checkNri({ grpc, nri }: Config, faults: Faults): void {
  const key = ["nri", "socket_path"];
  const bytes = Buffer.byteLength(nri.socketPath);
  if (bytes > longestFurther) {
    faults(
      key,
      `"nri.socket_path" is ${bytes} bytes long, and a socket path has at most ${longestFurther}: ${nri.socketPath}`,
    );
  }
  if ([grpc.address, `${grpc.address}.ttrpc`, ...grpc.also].includes(nri.socketPath)) {
    faults(key, `"nri.socket_path" is ${nri.socketPath}, which is a socket of [grpc]`);
  }
  const named = {
    required: nri.required,
    "default_validator.required_plugins": nri.defaultValidator.requiredPlugins,
    plugins: Object.keys(nri.plugins),
  };
  for (const [where, names] of Object.entries(named)) {
    for (const name of names) {
      if (/^[A-Za-z0-9_.+-]+$/.test(name)) continue;
      faults(
        ["nri", ...where.split(".")],
        `"nri.${where}" names "${name}", expected a plugin such as pinning or 10-pinning`,
      );
    }
  }
}

/** Where 0 does not mean "no limit": nothing would ever be in time, or small enough. */
function checkNotZero({ grpc, nri, plugins, timeouts }: Config, faults: Faults): void {
  const values: readonly (readonly [key: readonly string[], value: number, zero: string])[] = [
    [["timeouts", "shim_load"], timeouts.shimLoadMs, "0s"],
    [["timeouts", "task_state"], timeouts.taskStateMs, "0s"],
    [["timeouts", "cni"], timeouts.cniMs, "0s"],
    [["nri", "registration_timeout"], nri.registrationTimeoutMs, "0s"],
    [["nri", "request_timeout"], nri.requestTimeoutMs, "0s"],
    [["grpc", "max_recv_message_size"], grpc.maxRecvBytes, "0"],
    [["grpc", "max_send_message_size"], grpc.maxSendBytes, "0"],
    ...Object.entries(plugins.config).map(
      ([name, { timeoutMs }]) => [["plugins", "config", name, "timeout"], timeoutMs, "0s"] as const,
    ),
  ];
  for (const [key, value, zero] of values) {
    if (value === 0) faults(key, `"${key.join(".")}" is ${zero}, expected more`);
  }
}

type Faults = (key: readonly string[], message: string) => void;

function checkStreaming({ streaming }: Config, faults: Faults, warnings: string[]): void {
  const { address, tlsCertFile, tlsKeyFile, creationTimeoutMs } = streaming;
  if (!isHostPort(address)) {
    faults(
      ["streaming", "address"],
      `"streaming.address" is "${address}", expected host:port such as 127.0.0.1:0`,
    );
  }
  if ((tlsCertFile === "") !== (tlsKeyFile === "")) {
    faults(
      ["streaming", "tls_cert_file"],
      '"streaming.tls_cert_file" and "streaming.tls_key_file" belong together: one of them is not set',
    );
  }
  if (creationTimeoutMs === 0) {
    faults(["streaming", "creation_timeout"], '"streaming.creation_timeout" is 0s, expected more');
  }
  if (isPublic(address) && tlsCertFile === "") {
    warnings.push(
      `"streaming.address" ${address} is not on loopback and has no certificate: sessions can be read on the way`,
    );
  }
}

function checkHandler(config: Config, name: string, faults: Faults, warnings: string[]): void {
  const handler = config.runtime.handlers[name];
  if (!handler) return;
  const table = ["runtime", "handlers", name];
  const at = table.join(".");
  if (!/^[\w-]+(\.[\w-]+)+$/.test(handler.type)) {
    faults(
      [...table, "type"],
      `"${at}.type" is "${handler.type}", expected a name such as io.containerd.runc.v2`,
    );
  }
  if (!isRuncType(handler.type)) {
    checkOtherShim(table, handler, faults, warnings);
    return;
  }
  for (const [key, value] of Object.entries(handler.options)) {
    if (typeof value === "object" || (typeof value === "number" && !Number.isInteger(value))) {
      faults(
        [...table, "options", key],
        `bad value of "${at}.options.${key}": expected a string, a whole number, true or false, got ${JSON.stringify(value)}`,
      );
    }
    if (!runcOptions.has(key)) {
      faults(
        [...table, "options", key],
        `unknown runtime option "${at}.options.${key}": ${handler.type} knows ${[...runcOptions].join(", ")}`,
      );
    }
  }
  const systemd = handler.options["SystemdCgroup"];
  if (systemd !== undefined && systemd !== handler.systemdCgroup) {
    warnings.push(
      `"${at}.options.SystemdCgroup" is ignored: "${at}.systemd_cgroup" is ${handler.systemdCgroup}`,
    );
  }
  const binary = handler.options["BinaryName"];
  if (binary !== undefined && binary !== handler.binaryName) {
    warnings.push(
      `"${at}.options.BinaryName" is ignored: "${at}.binary_name" is "${handler.binaryName}"`,
    );
  }
}

/** What only runc shims understand, or what every shim takes as a path. */
function checkOtherShim(
  table: readonly string[],
  { type, binaryName, options }: RuntimeHandlerConfig,
  faults: Faults,
  warnings: string[],
): void {
  const at = table.join(".");
  if (binaryName !== "") {
    warnings.push(`"${at}.binary_name" is ignored: ${type} is no runc shim`);
  }
  for (const key of ["TypeUrl", "ConfigPath"]) {
    const value = options[key];
    if (value !== undefined && typeof value !== "string") {
      faults([...table, "options", key], `bad value of "${at}.options.${key}": expected a string`);
    }
  }
  const file = options["ConfigPath"];
  if (typeof file === "string" && file !== "" && !file.startsWith("/")) {
    faults(
      [...table, "options", "ConfigPath"],
      `bad value of "${at}.options.ConfigPath": expected an absolute path, got "${file}"`,
    );
  }
}

function isHostPort(address: string): boolean {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(address);
  return match !== null && Number(match[3]) <= 65_535;
}

function isPublic(address: string): boolean {
  return address !== "" && isHostPort(address) && !/^(127\.|localhost:|\[::1\])/.test(address);
}
