// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { absolutePath, choice, flag, integer, paths } from "../kinds.ts";
import { layoutOf, usualFolders } from "../layout.ts";

export const cni = table({
  doc: "Pod networks.",
  keys: {
    confDir: key({
      name: "conf_dir",
      kind: absolutePath,
      default: "/etc/cni/net.d",
      change: "reload",
      doc: "Folder of network configurations (*.conflist, *.conf, *.json), read in lexical order.",
    }),
    binDirs: key({
      name: "bin_dirs",
      kind: paths,
      default: ["/opt/cni/bin", "/usr/lib/cni"],
      change: "reload",
      doc: "Folders of the plugins, searched in order.",
    }),
    /** How many configuration files are loaded, in lexical order; 0 for all. */
    maxConfNum: key({
      name: "max_conf_num",
      kind: integer(0, 1000),
      default: 1,
      change: "reload",
      doc: "How many network configurations are loaded; 0 for all of them.",
    }),
    ipPreference: key({
      name: "ip_preference",
      kind: choice("ipv4", "ipv6", "cni"),
      default: "ipv4",
      change: "reload",
      doc: 'Which address of a dual-stack pod is its first: "cni" keeps the order of the plugin\'s result.',
    }),
    runIdlePlugins: key({
      name: "run_idle_plugins",
      kind: flag,
      default: false,
      change: "reload",
      doc: "Run plugins that have nothing to do for a pod as well: portmap without host ports, bandwidth without limits, tuning with nothing set. They are left out of ADD, and then of CHECK and DEL, as they would only print the result before theirs. For plugins of other authors under these names.",
    }),
    /** Where plugins such as host-local keep state is theirs; this is our cache of results. */
    cacheDir: key({
      name: "cache_dir",
      kind: absolutePath,
      default: layoutOf(usualFolders).networks,
      change: "restart",
      doc: "Folder of cached plugin results, needed to undo a network after a restart. When it is not set, it is `cni` in the root folder.",
    }),
  },
});
