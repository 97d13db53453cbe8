// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { choice, flag, freeTable, pathOrNone, strings, text } from "../kinds.ts";
import { furtherRuncOptions } from "../runc-options.ts";

export const runtime = table({
  doc: "OCI runtimes.",
  keys: {
    defaultHandler: key({
      name: "default_handler",
      kind: text,
      default: "",
      change: "reload",
      doc: 'Handler of pods whose RuntimeClass names none; a key of [runtime.handlers]. With "" it is `runc`, with crun in runc\'s place where that works on this node and can do all that runc can: docs/runtimes.md.',
    }),
  },
  named: {
    name: "handlers",
    noun: "handler",
    doc: "One table for each handler, named as a RuntimeClass names it in `handler`. `runc` is there from the start.",
    change: "reload",
    present: ["runc"],
    keys: {
      /** Runtime name, `io.containerd.runc.v2`. */
      type: key({
        name: "type",
        kind: text,
        default: "io.containerd.runc.v2",
        change: "reload",
        doc: "Name of the runtime, which leads to the shim binary: io.containerd.runc.v2 is containerd-shim-runc-v2.",
      }),
      /** Path of the shim binary; "" looks it up by type. */
      shim: key({
        name: "shim",
        kind: pathOrNone,
        default: "",
        change: "reload",
        doc: 'Path of the shim binary; "" looks it up on PATH by the type.',
      }),
      /** How its shims start: by the shim's `start` helper, directly, or directly where that is known to do the same. */
      shimLaunch: key({
        name: "shim_launch",
        kind: choice("auto", "helper", "direct"),
        default: "auto",
        change: "reload",
        doc: "How its shims start: `helper` runs the shim's start command, which forks the serving process; `direct` starts that process itself, with a socket that listens already, and is quicker; `auto` does so with containerd's runc shims. Tasks that join another's shim, and those with ShimCgroup, take the helper in any case.",
      }),
      /** Path or name of the OCI runtime; "" for the shim's own default. */
      binaryName: key({
        name: "binary_name",
        kind: text,
        default: "",
        change: "reload",
        doc: 'OCI runtime the shim calls, a name on PATH or a path; "" is the shim\'s own default, runc.',
      }),
      systemdCgroup: key({
        name: "systemd_cgroup",
        kind: flag,
        default: false,
        change: "reload",
        doc: "Use systemd for cgroups. Must equal the kubelet's cgroupDriver, which it learns from RuntimeConfig.",
      }),
      /**
       * Further runtime options, as containerd users know them: for runc shims those of runc-options.ts, all of them
       * plain values; TypeUrl, ConfigPath and anything else for other shims.
       */
      options: key({
        name: "options",
        kind: freeTable,
        default: {},
        change: "reload",
        doc: `Further options of the runtime, named as in containerd. Of runc shims: ${furtherRuncOptions.join(", ")}. Any other shim gets them as \`runtimeoptions.v1.Options\`: TypeUrl says what they are in its terms, ConfigPath is the file of its settings; without ConfigPath it gets the whole table as TOML.`,
      }),
      /** Globs of pod annotations copied into the OCI spec. */
      podAnnotations: key({
        name: "pod_annotations",
        kind: strings,
        default: [],
        change: "reload",
        doc: "Globs of pod annotations that are copied into the OCI spec of its sandbox and containers. What OCI runtimes take for orders (`org.systemd.property.`, `org.criu.`, `run.oci.`) passes only by a glob that begins with those words.",
      }),
      containerAnnotations: key({
        name: "container_annotations",
        kind: strings,
        default: [],
        change: "reload",
        doc: "Globs of container annotations that are copied into the container's OCI spec; of a runtime's orders as above.",
      }),
      privilegedWithoutHostDevices: key({
        name: "privileged_without_host_devices",
        kind: flag,
        default: false,
        change: "reload",
        doc: "Give privileged containers only the devices they list.",
      }),
      /** File with an OCI spec to start from; "" for the built-in one. */
      baseRuntimeSpec: key({
        name: "base_runtime_spec",
        kind: pathOrNone,
        default: "",
        change: "reload",
        doc: 'JSON file with an OCI spec to start from; "" for the built-in one.',
      }),
      cgroupWritable: key({
        name: "cgroup_writable",
        kind: flag,
        default: false,
        change: "reload",
        doc: "Mount the cgroup file system writable in containers that are not privileged.",
      }),
    },
  },
});
