// SPDX-License-Identifier: Apache-2.0
import { isRecord } from "../../base/is-record.ts";
import { finishPulls } from "./containerd-pulls.ts";
import { isKnownOption } from "./containerd-rules.ts";
import { at, put, remove, type Table } from "./tables.ts";

interface Lost {
  readonly written: string;
  readonly reason: string;
}

/** Values by their canonical names. */
type Facts = ReadonlyMap<string, unknown>;

/** What several of containerd's keys say together. Answers what is lost by it. */
export function finishContainerd(document: Table, facts: Facts): readonly Lost[] {
  const address = facts.get("cri/stream_server_address");
  const port = facts.get("cri/stream_server_port");
  const host = typeof address === "string" && address !== "" ? address : "127.0.0.1";
  const isUsual = host === "127.0.0.1" && [undefined, "0", ""].includes(port as string);
  if (!isUsual) putStream(document, host, textOf(port, "0"));
  nameDeprecated(document);
  finishPulls(document, facts);
  return [...danglingDefault(document), ...dropUnknownOptions(document)];
}

/** `default_runtime` and `untrusted_workload_runtime` stand in each file that containerd 1.x printed, mostly empty. */
function nameDeprecated(document: Table): void {
  const handlers = ["runtime", "handlers"];
  for (const [old, name] of [
    ["default_runtime", "default"],
    ["untrusted_workload_runtime", "untrusted"],
  ] as const) {
    const table = at(document, [...handlers, old]);
    remove(document, [...handlers, old]);
    if (!isRecord(table) || table["type"] === undefined) continue;
    put(document, [...handlers, name], table);
    if (old === "default_runtime") put(document, ["runtime", "default_handler"], name);
  }
}

/** The same of CRI-O's. */
export function finishCrio(document: Table, facts: Facts): readonly Lost[] {
  const isSystemd = (facts.get("crio/runtime/cgroup_manager") ?? "systemd") === "systemd";
  const handlers = new Set(["runc"]);
  for (const key of facts.keys()) {
    const name = /^crio\/runtime\/runtimes\/([^/]+)\//.exec(key)?.[1];
    if (name !== undefined) handlers.add(name);
  }
  for (const name of handlers) {
    const of = (key: string): unknown => facts.get(`crio/runtime/runtimes/${name}/${key}`);
    const table = ["runtime", "handlers", name];
    if (of("runtime_type") === "vm") {
      const shim = textOf(of("runtime_path"), "");
      const kind = /containerd-shim-(.+)-v2$/.exec(shim)?.[1] ?? name;
      put(document, [...table, "type"], `io.containerd.${kind}.v2`);
      put(document, [...table, "shim"], shim);
      remove(document, [...table, "binary_name"]);
    } else {
      if (name !== "runc" && of("runtime_path") === undefined)
        put(document, [...table, "binary_name"], name);
      put(document, [...table, "systemd_cgroup"], isSystemd);
    }
  }
  const wanted = facts.get("crio/runtime/default_runtime");
  if (typeof wanted === "string" && wanted !== "" && !handlers.has(wanted)) {
    put(document, ["runtime", "handlers", wanted, "binary_name"], wanted);
    put(document, ["runtime", "handlers", wanted, "systemd_cgroup"], isSystemd);
  }
  const address = textOf(facts.get("crio/api/stream_address"), "127.0.0.1");
  const port = textOf(facts.get("crio/api/stream_port"), "0");
  if (address !== "127.0.0.1" || !["0", ""].includes(port)) putStream(document, address, port);
  if (facts.get("crio/metrics/enable_metrics") === true) {
    const host = textOf(facts.get("crio/metrics/metrics_host"), "127.0.0.1");
    put(
      document,
      ["metrics", "address"],
      hostPort(host, textOf(facts.get("crio/metrics/metrics_port"), "9090")),
    );
  }
  return [...danglingDefault(document), ...dropUnknownOptions(document)];
}

function putStream(document: Table, host: string, port: string): void {
  put(document, ["streaming", "address"], hostPort(host, port));
}

function hostPort(host: string, port: string): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A default handler that no table makes would keep berthd from starting. */
function danglingDefault(document: Table) {
  const wanted = at(document, ["runtime", "default_handler"]);
  if (typeof wanted !== "string" || wanted === "runc") return [];
  if (isRecord(at(document, ["runtime", "handlers", wanted]))) return [];
  remove(document, ["runtime", "default_handler"]);
  return [
    { written: "default_runtime_name", reason: `there is no runtime ${wanted} in these files` },
  ];
}

function dropUnknownOptions(document: Table) {
  const handlers = at(document, ["runtime", "handlers"]);
  const dropped: { written: string; reason: string }[] = [];
  for (const [name, handler] of Object.entries(isRecord(handlers) ? handlers : {})) {
    const options = isRecord(handler) ? handler["options"] : undefined;
    const type = isRecord(handler) ? handler["type"] : undefined;
    if (!isRecord(options)) continue;
    for (const option of Object.keys(options)) {
      if (isKnownOption(typeof type === "string" ? type : "io.containerd.runc.v2", option))
        continue;
      remove(document, ["runtime", "handlers", name, "options", option]);
      dropped.push({
        written: `runtimes.${name}.options.${option}`,
        reason: "runc's shim has no such option",
      });
    }
  }
  return dropped;
}

/** A text or a number; `usual` for anything else, and for nothing. */
function textOf(value: unknown, usual: string): string {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : usual;
}
