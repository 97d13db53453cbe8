// SPDX-License-Identifier: Apache-2.0
import { furtherRuncOptions, isRuncType } from "../runc-options.ts";
import { containerdCriRules } from "./containerd-cri-rules.ts";
import { transfer } from "./containerd-pulls.ts";
import { countOrLost, lost, nothing, type Rule, to, toLevel } from "./rule.ts";

const own =
  "berthd keeps what it knows in a folder of its own; to have it on the same disk, set root";
const tunes = "it tunes a part of containerd that berthd does not have";

/** What containerd has by default in tables that only tune its own parts. */
const quietTuning: readonly unknown[] = [
  "",
  0,
  false,
  0.02,
  100,
  1,
  3,
  10,
  "0s",
  "10s",
  "100ms",
  "1m0s",
  "2s",
  "shared",
  "/opt/containerd",
  "/opt/containerd/image-verifier/bin",
  "containerd-shim",
  "runc",
  "containerd",
  "/etc/containerd/certs.d",
  ["walking"],
  ["erofs", "walking"],
  ["linux/amd64"],
  ["linux/arm64"],
  ["linux/arm64/v8"],
  [],
];

export const containerdRules: readonly Rule[] = [
  ...containerdCriRules,
  { at: "version", becomes: nothing },
  { at: "imports", becomes: nothing },
  { at: "root", quiet: ["/var/lib/containerd"], becomes: lost(own) },
  {
    at: "state",
    quiet: ["/run/containerd"],
    becomes: lost("berthd has a state folder of its own, /run/berthd"),
  },
  { at: "temp", quiet: [""], becomes: lost("berthd has its temporary files below root and state") },
  {
    at: "plugin_dir",
    quiet: [""],
    becomes: lost("Go plugins are not loaded; berthd's are JavaScript: docs/plugins.md"),
  },
  { at: "oom_score", quiet: [0, -999], becomes: lost("set OOMScoreAdjust= in berthd.service") },
  {
    at: "disabled_plugins",
    quiet: [[]],
    becomes: lost("what can be left out has a key of its own"),
  },
  {
    at: "required_plugins",
    quiet: [[], ["cri"], ["io.containerd.grpc.v1.cri"]],
    becomes: lost("what pods need is always required"),
  },
  { at: "cgroup/path", quiet: [""], becomes: lost("set Slice= in berthd.service") },
  {
    at: "grpc/address",
    quiet: ["/run/containerd/containerd.sock"],
    becomes: lost(
      "the kubelet finds berthd at /run/berthd/berthd.sock; once that runtime is gone, [grpc] also may name this path too",
    ),
  },
  { at: "grpc/uid", quiet: [0], becomes: to("grpc.uid") },
  { at: "grpc/gid", quiet: [0], becomes: to("grpc.gid") },
  {
    at: "grpc/max_recv_message_size",
    quiet: [0, 16_777_216],
    becomes: to("grpc.max_recv_message_size"),
  },
  {
    at: "grpc/max_send_message_size",
    quiet: [0, 16_777_216],
    becomes: to("grpc.max_send_message_size"),
  },
  { at: "grpc/**", quiet: [""], becomes: lost("berthd serves unix sockets only") },
  { at: "grpc-tcp/**", quiet: ["", 16_777_216], becomes: lost("berthd serves unix sockets only") },
  {
    at: "ttrpc/**",
    quiet: ["", 0, "/run/containerd/containerd.sock.ttrpc"],
    becomes: lost("the shims' socket stands beside that of [grpc] address"),
  },
  {
    at: "debug/level",
    quiet: [""],
    becomes: toLevel,
  },
  {
    at: "debug/format",
    quiet: [""],
    becomes: (value) => [{ key: ["log", "format"], value: value === "json" ? "json" : "pretty" }],
  },
  {
    at: "debug/**",
    quiet: ["", 0, false],
    becomes: lost("there is no debug socket: berth status and berth operations tell what runs"),
  },
  { at: "metrics/address", quiet: [""], becomes: to("metrics.address") },
  {
    at: "metrics/**",
    quiet: [false],
    becomes: lost("berthd's metrics have their histograms always"),
  },
  {
    at: "timeouts/io.containerd.timeout.shim.load",
    quiet: ["5s"],
    becomes: to("timeouts.shim_load"),
  },
  {
    at: "timeouts/io.containerd.timeout.shim.cleanup",
    quiet: ["5s"],
    becomes: to("timeouts.shim_cleanup"),
  },
  {
    at: "timeouts/io.containerd.timeout.shim.shutdown",
    quiet: ["3s"],
    becomes: to("timeouts.shim_shutdown"),
  },
  {
    at: "timeouts/io.containerd.timeout.task.state",
    quiet: ["2s"],
    becomes: to("timeouts.task_state"),
  },
  { at: "timeouts/**", quiet: ["0s", "1m0s", "2s"], becomes: lost("berthd has no such limit") },
  {
    at: "proxy_plugins/**",
    becomes: lost(
      "layers become root file systems by overlayfs; snapshotters in other processes are not asked",
    ),
  },
  { at: "stream_processors/io.containerd.ocicrypt.decoder.v1.tar/**", becomes: nothing },
  { at: "stream_processors/io.containerd.ocicrypt.decoder.v1.tar.gzip/**", becomes: nothing },
  { at: "stream_processors/**", becomes: lost("encrypted layers are not supported") },
  {
    at: "nri/disable",
    becomes: (value) => (value === true ? [{ key: ["nri", "enable"], value: false }] : []),
  },
  { at: "nri/socket_path", quiet: ["/var/run/nri/nri.sock"], becomes: to("nri.socket_path") },
  { at: "nri/plugin_path", quiet: ["/opt/nri/plugins"], becomes: to("nri.plugin_path") },
  {
    at: "nri/plugin_config_path",
    quiet: ["/etc/nri/conf.d"],
    becomes: to("nri.plugin_config_path"),
  },
  { at: "nri/plugin_registration_timeout", quiet: ["5s"], becomes: to("nri.registration_timeout") },
  { at: "nri/plugin_request_timeout", quiet: ["2s"], becomes: to("nri.request_timeout") },
  { at: "nri/disable_connections", quiet: [false], becomes: to("nri.disable_connections") },
  {
    at: "nri/default_validator/*",
    quiet: [false, "", []],
    becomes: (value, [key = ""]) => [{ key: ["nri", "default_validator", key], value }],
  },
  {
    at: "plugins/io.containerd.service.v1.tasks-service/blockio_config_file",
    quiet: [""],
    becomes: to("cri.blockio_config_file"),
  },
  {
    at: "plugins/io.containerd.service.v1.tasks-service/rdt_config_file",
    quiet: [""],
    becomes: lost("classes of resctrl are taken as they are mounted"),
  },
  { at: `${transfer}/max_concurrent_downloads`, becomes: countOrLost },
  { at: `${transfer}/config_path`, becomes: nothing },
  {
    at: `${transfer}/max_concurrent_unpacks`,
    quiet: [0, 1],
    becomes: lost("layers are unpacked two or three at once, of all pulls together"),
  },
  {
    at: `${transfer}/concurrent_layer_fetch_buffer`,
    quiet: [0],
    becomes: lost("a layer comes over one connection"),
  },
  {
    at: `${transfer}/unpack_config/**`,
    becomes: lost("layers become root file systems by overlayfs"),
  },
  {
    at: "plugins/io.containerd.image-verifier.v1.bindir/**",
    quiet: ["/opt/containerd/image-verifier/bin", 10, "10s"],
    becomes: lost("signatures of images are not checked by berthd: use an admission policy"),
  },
  {
    at: "plugins/io.containerd.shim.v1.manager/env",
    quiet: [[]],
    becomes: lost("set Environment= in berthd.service: shims have it, too"),
  },
  { at: "plugins/**", quiet: quietTuning, becomes: lost(tunes) },
];

/** Options of a runc shim that berthd knows; other shims take any. */
export function isKnownOption(type: string, option: string): boolean {
  return !isRuncType(type) || furtherRuncOptions.includes(option);
}
