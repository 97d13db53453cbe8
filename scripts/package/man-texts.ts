// SPDX-License-Identifier: Apache-2.0
import { defaultConfigFile } from "../../src/config/load.ts";
import type { ManPage } from "./man-page.ts";

type Around = Omit<ManPage, "version" | "seconds">;

/** What berth(1) says beside its commands. */
export const aroundBerth: Around = {
  section: 1,
  environment: [
    ["BERTH_ADDRESS", "berthd's socket, where --address does not name it."],
    ["BERTH_NAMESPACE", "containerd's namespace, where --namespace does not name it."],
    ["KUBECONFIG", "For `migrate`: files with the way to the cluster, with a colon between them."],
    ["NO_COLOR", "When it is not empty, progress is shown without colours."],
  ],
  files: [["/run/berthd/berthd.sock", "berthd's socket, where nothing else names one."]],
  exitStatus: [
    ["0", "All went well."],
    ["1", "Something failed, or a check found an error."],
    ["2", "The command line is wrong."],
    ["other", "That of the process that ran, for `exec`, `attach`, `run` and `task`."],
  ],
  seeAlso: ["berthd(8)", "berthd.toml(5)"],
};

/** What berthd(8) says beside its commands. */
export const aroundBerthd: Around = {
  section: 8,
  environment: [
    ["HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "The way to registries, where [registry] has no proxy."],
    ["SSL_CERT_FILE, SSL_CERT_DIR", "Authorities in place of the system's."],
    ["NOTIFY_SOCKET, WATCHDOG_USEC", "Set by systemd, which is told when berthd serves."],
  ],
  files: [
    [defaultConfigFile, "The configuration: berthd.toml(5)."],
    ["/etc/berthd/certs.d", "hosts.toml files and certificates of registries."],
    ["/var/lib/berthd", "What must survive a reboot: database, images, snapshots."],
    ["/run/berthd", "What belongs to running pods: the socket, bundles, network namespaces."],
  ],
  exitStatus: [
    ["0", "It was told to end, and did."],
    ["1", "It could not start, or the configuration is wrong."],
    ["2", "The command line is wrong."],
  ],
  seeAlso: ["berth(1)", "berthd.toml(5)", "systemd.unit(5)"],
};
