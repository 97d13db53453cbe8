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
    doc: "Look at what plugins want to change in a container before it is applied, and refuse the container (CreateContainer: `validation error: …`, FAILED_PRECONDITION) where one of the keys below says so.",
  }),
  rejectOciHookAdjustment: key({
    name: "reject_oci_hook_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse it where a plugin adds OCI hooks: programs that run as root on the node.",
  }),
  rejectRuntimeDefaultSeccompAdjustment: key({
    name: "reject_runtime_default_seccomp_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse it where a plugin changes the seccomp policy of one whose pod asked for `RuntimeDefault`.",
  }),
  rejectUnconfinedSeccompAdjustment: key({
    name: "reject_unconfined_seccomp_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse it where a plugin gives a seccomp policy to one whose pod asked for `Unconfined`, or for nothing.",
  }),
  rejectCustomSeccompAdjustment: key({
    name: "reject_custom_seccomp_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse it where a plugin changes the seccomp policy of one whose pod asked for a profile of its own.",
  }),
  rejectNamespaceAdjustment: key({
    name: "reject_namespace_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse it where a plugin changes a namespace, as one that gives it the node's network would.",
  }),
  rejectSysctlAdjustment: key({
    name: "reject_sysctl_adjustment",
    kind: flag,
    default: false,
    change: "reload",
    doc: "Refuse it where a plugin sets a kernel parameter.",
  }),
  requiredPlugins: key({
    name: "required_plugins",
    kind: strings,
    default: [],
    change: "reload",
    doc: 'Refuse it where one of these plugins, `name` or `10-name`, is not connected or was late: `["10-pinning"]`. A pod may name more in its annotation `required-plugins.noderesource.dev`. `required` of `[nri]` holds without the validator.',
  }),
  tolerateMissingPluginsAnnotation: key({
    name: "tolerate_missing_plugins_annotation",
    kind: text,
    default: "",
    change: "reload",
    doc: 'Annotation by which a pod says, with the value "true", that its containers are made although required plugins are missing: those of `[nri] required` (also with the validator off) and those above. With "example.com/without-nri" a plugin\'s own DaemonSet can carry `example.com/without-nri: "true"`. "" for none: then no pod can.',
  }),
});

const failure = choice("", "continue", "refuse");

export const nri = table({
  doc: "The Node Resource Interface: programs on the node, called plugins, that are asked about each container that is made and may change it, and are told what happens to pods. docs/nri.md tells how to run one, and what each error means.",
  keys: {
    enable: key({
      name: "enable",
      kind: flag,
      default: true,
      change: "restart",
      doc: "Let plugins take part: open the socket, and start the programs of `plugin_path`. With `false` there are none, and `required` counts for nothing.",
    }),
    socketPath: key({
      name: "socket_path",
      kind: absolutePath,
      default: "/var/run/nri/nri.sock",
      change: "restart",
      doc: "Socket at which plugins connect that others start, as a DaemonSet does. containerd has the same path. When another daemon listens there at the start, Berth goes on without a socket, and the log says so; when one takes it later, `berth status` tells it.",
    }),
    pluginPath: key({
      name: "plugin_path",
      kind: pathOrNone,
      default: "/opt/nri/plugins",
      change: "restart",
      doc: 'Folder of programs that the daemon starts as plugins when it starts itself. Each is named by two digits, the order in which plugins are asked, and a name: `10-pinning`. The folder may be missing; "" for none.',
    }),
    pluginConfigPath: key({
      name: "plugin_config_path",
      kind: pathOrNone,
      default: "/etc/nri/conf.d",
      change: "restart",
      doc: 'Folder of what these programs are configured with: for `10-pinning` the text of `10-pinning.conf`, else of `pinning.conf`. What is in there is for the plugin alone. The folder may be missing; "" for none.',
    }),
    registrationTimeoutMs: key({
      name: "registration_timeout",
      kind: duration,
      default: 5000,
      change: "reload",
      doc: "How long a plugin may take, from when it is connected or started, to say its name and what it wants to be asked. After that its connection is closed, and the log says `NRI plugin does not come to take part`.",
    }),
    requestTimeoutMs: key({
      name: "request_timeout",
      kind: duration,
      default: 2000,
      change: "reload",
      doc: "How long a pod or container waits for a plugin's answer, from when it is the plugin's turn. Then `on_failure` says what becomes of it. The first call, Synchronize, which has all pods and containers in it, may take five times as long.",
    }),
    disableConnections: key({
      name: "disable_connections",
      kind: flag,
      default: false,
      change: "restart",
      doc: "Open no socket: only the programs of `plugin_path` take part, and nothing in a pod can.",
    }),
    /** "": as the plugin wants it, or "continue". */
    onFailure: key({
      name: "on_failure",
      kind: failure,
      default: "",
      change: "reload",
      doc: 'What becomes of a pod or container when a plugin does not answer in time, or ends while it is asked. "continue": it is made without the plugin. "refuse": the call fails with UNAVAILABLE and the plugin\'s name, and the kubelet tries again. "": as the plugin itself has asked for, and "continue" where it has not. Plugins in `required` are always "refuse", unless their own table says otherwise. An answer that is an error fails what the plugin was asked about in any case.',
    }),
    required: key({
      name: "required",
      kind: strings,
      default: [],
      change: "reload",
      doc: 'Plugins, `name` or `10-name`, without which no container is made: `["10-device-policy"]`. While one is not connected, CreateContainer fails with UNAVAILABLE and its name, and `berth status` shows it. What runs goes on. A plugin that itself runs in a pod keeps that pod from being made, unless `tolerate_missing_plugins_annotation` lets it.',
    }),
    defaultValidator: key({
      name: "default_validator",
      kind: validator,
      default: defaultsOf(validator.parts),
      change: "reload",
      doc: "Rules of the node for what plugins may change; off unless enabled.",
    }),
  },
  named: {
    name: "plugins",
    noun: "plugin",
    doc: "What differs for one plugin, by `name` or `10-name`: `[nri.plugins.pinning]`.",
    change: "reload",
    present: [],
    keys: {
      onFailure: key({
        name: "on_failure",
        kind: failure,
        default: "",
        change: "reload",
        doc: '`on_failure` for this plugin; "" for that of `[nri]`. Where a plugin has a table by each name, that of `10-name` counts. With "continue" containers are made without it while it is connected and late, also where it is `required`.',
      }),
      requestTimeoutMs: key({
        name: "request_timeout",
        kind: duration,
        default: 0,
        change: "reload",
        doc: "`request_timeout` for this plugin; `0s` for that of `[nri]`.",
      }),
    },
  },
});
