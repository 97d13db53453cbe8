// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { absolutePath, choice, duration, flag, pathOrNone, strings, text } from "../kinds.ts";
import { defaultsOf, subtable } from "../subtable.ts";

const validator = subtable({
  enable: key({
    name: "enable",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Have it look at what plugins want to change before it is applied.",
  }),
  rejectOciHookAdjustment: key({
    name: "reject_oci_hook_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse OCI hooks.",
  }),
  rejectRuntimeDefaultSeccompAdjustment: key({
    name: "reject_runtime_default_seccomp_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse another seccomp policy for containers that asked for the runtime's default.",
  }),
  rejectUnconfinedSeccompAdjustment: key({
    name: "reject_unconfined_seccomp_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse a seccomp policy for containers that asked for none.",
  }),
  rejectCustomSeccompAdjustment: key({
    name: "reject_custom_seccomp_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse another seccomp policy for containers that asked for one of their own.",
  }),
  rejectNamespaceAdjustment: key({
    name: "reject_namespace_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse other namespaces.",
  }),
  rejectSysctlAdjustment: key({
    name: "reject_sysctl_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse other sysctls.",
  }),
  requiredPlugins: key({
    name: "required_plugins",
    kind: strings,
    default: [],
    change: "reload",
    doc: "Plugins, `name` or `10-name`, that must have been asked about each container. Pods may name more in the annotation `required-plugins.noderesource.dev`.",
  }),
  tolerateMissingPluginsAnnotation: key({
    name: "tolerate_missing_plugins_annotation",
    kind: text,
    default: "",
    change: "reload",
    doc: 'Annotation by which a pod says, with "true", that it is made without plugins that are required, here or in `[nri] required`; "" for none. It holds whether the validator is on or not.',
  }),
});

const failure = choice("", "continue", "refuse");

export const nri = table({
  doc: "The Node Resource Interface: programs of the node's administrator that see and change pods and containers.",
  keys: {
    enable: key({
      name: "enable",
      kind: flag,
      default: true,
      change: "restart",
      doc: "Open the socket and start the plugins of `plugin_path`.",
    }),
    socketPath: key({
      name: "socket_path",
      kind: absolutePath,
      default: "/var/run/nri/nri.sock",
      change: "restart",
      doc: "Path of the socket at which plugins connect. When another daemon listens there, there is none, and the log says so.",
    }),
    pluginPath: key({
      name: "plugin_path",
      kind: pathOrNone,
      default: "/opt/nri/plugins",
      change: "restart",
      doc: 'Folder of plugins that the daemon starts, named as `10-name`. It may be missing; "" for none.',
    }),
    pluginConfigPath: key({
      name: "plugin_config_path",
      kind: pathOrNone,
      default: "/etc/nri/conf.d",
      change: "restart",
      doc: 'Folder of their settings: `10-name.conf`, else `name.conf`. It may be missing; "" for none.',
    }),
    registrationTimeoutMs: key({
      name: "registration_timeout",
      kind: duration,
      default: 5000,
      change: "reload",
      doc: "How long a plugin may take to register once it is connected or started.",
    }),
    requestTimeoutMs: key({
      name: "request_timeout",
      kind: duration,
      default: 2000,
      change: "reload",
      doc: "How long a plugin may take to answer, from when it is its turn; Synchronize may take five times as long.",
    }),
    disableConnections: key({
      name: "disable_connections",
      kind: flag,
      default: false,
      change: "restart",
      doc: "Open no socket: only the plugins of `plugin_path` take part.",
    }),
    /** "": as the plugin wants it, or "continue". */
    onFailure: key({
      name: "on_failure",
      kind: failure,
      default: "",
      change: "reload",
      doc: 'When a plugin does not answer in time, or goes: "continue" without it, or "refuse" what it was asked about, by its name. With "" it is as the plugin has asked for, and "continue" where it has not.',
    }),
    required: key({
      name: "required",
      kind: strings,
      default: [],
      change: "reload",
      doc: "Plugins, `name` or `10-name`, without which no container is made: while one is missing all are refused, by its name.",
    }),
    defaultValidator: key({
      name: "default_validator",
      kind: validator,
      default: defaultsOf(validator.parts),
      change: "reload",
      doc: "The built-in validator.",
    }),
  },
  named: {
    name: "plugins",
    noun: "plugin",
    doc: "What differs for one plugin, `name` or `10-name`.",
    change: "reload",
    present: [],
    keys: {
      onFailure: key({
        name: "on_failure",
        kind: failure,
        default: "",
        change: "reload",
        doc: 'As above; "" for what holds there.',
      }),
      requestTimeoutMs: key({
        name: "request_timeout",
        kind: duration,
        default: 0,
        change: "reload",
        doc: "As above; 0s for what holds there.",
      }),
    },
  },
});
