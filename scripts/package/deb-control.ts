// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import path from "node:path";
import type { DebControl } from "./deb.ts";
import type { SbomSubject } from "./sbom.ts";

/**
 * What Berth's package says of itself to dpkg and apt, with the maintainer scripts of deploy/debian. `maintainer` is
 * who answers for it, `NAME <ADDRESS>`.
 */
export function debControl(
  root: string,
  { version, architecture }: SbomSubject,
  maintainer: string,
): DebControl {
  const script = (name: string): string =>
    readFileSync(path.join(root, "deploy/debian", name), "utf8");
  return {
    fields: {
      Package: "berth",
      Version: version,
      Architecture: architecture,
      Maintainer: maintainer,
      Section: "admin",
      Priority: "optional",
      // A shim comes with containerd only, whose daemon need not run. The last three are what Node links to.
      Depends: [
        "containerd | containerd.io",
        "runc | crun | containerd.io",
        "containernetworking-plugins | kubernetes-cni",
        "iptables",
        "libatomic1",
        "libc6 (>= 2.28)",
        "libstdc++6",
      ].join(", "),
      Recommends: "apparmor, kmod",
      Suggests: "crun, criu, cri-tools, bash-completion",
      Description: [
        "Kubernetes container runtime",
        " Berth serves CRI and containerd's task services on one socket, and runs pods with",
        " the shims of containerd and an OCI runtime, runc or crun. berthd starts with",
        " systemctl enable --now berthd.",
      ].join("\n"),
    },
    scripts: { postinst: script("postinst"), prerm: script("prerm"), postrm: script("postrm") },
  };
}
