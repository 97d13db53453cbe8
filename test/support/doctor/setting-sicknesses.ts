// SPDX-License-Identifier: Apache-2.0
import { chmod, rm } from "node:fs/promises";
import path from "node:path";
import {
  type Answer,
  json,
  kubeconfigText,
  refusal,
  ScriptedApiServer,
} from "../kube/scripted-api-server.ts";
import { must } from "../run.ts";
import { endedCertificate } from "./ended-certificate.ts";
import { kubeletPid, type MadeNode, runningKubelet } from "./made-node.ts";
import { berthdToml, kubeletConf, kubeletYaml, type Sickness } from "./sickness.ts";

/** A kubelet that does not run, with these flags of kubeadm's. */
async function flagsOf({ root, write }: MadeNode, flags: string): Promise<void> {
  await rm(path.join(root, `proc/${kubeletPid}`), { recursive: true });
  await write("/var/lib/kubelet/kubeadm-flags.env", `KUBELET_KUBEADM_ARGS="${flags}"\n`);
}

export const ofSettings: readonly Sickness[] = [
  {
    name: "no network",
    check: "cni",
    make: ({ root }) => rm(path.join(root, "etc/cni"), { recursive: true }),
    level: "error",
    says: /there is no CNI configuration in \/etc\/cni\/net\.d/,
  },
  {
    name: "a network that is no JSON",
    check: "cni",
    make: ({ write }) => write("/etc/cni/net.d/05-broken.conflist", "{"),
    level: "warning",
    says: /"\/etc\/cni\/net\.d\/05-broken\.conflist": not JSON/,
    mends: true,
  },
  {
    name: "a broken network whose file has a quote in its name",
    check: "cni",
    make: ({ write }) => write("/etc/cni/net.d/05-somebody's; touch x.conflist", "{"),
    level: "warning",
    says: /"\/etc\/cni\/net\.d\/05-somebody's; touch x\.conflist": not JSON/,
    mends: true,
  },
  {
    name: "a network without what gives addresses",
    check: "cni",
    make: ({ root }) => rm(path.join(root, "opt/cni/bin/host-local")),
    level: "error",
    says: /CNI plugin "host-local" of network "pods" is not in/,
  },
  {
    name: "a network without the plugin that another one runs in its stead",
    check: "cni",
    make: ({ write }) => {
      const delegate = { type: "bridge", ipam: { type: "whereabouts" } };
      const plugins = [{ type: "portmap", delegate }];
      const conflist = { cniVersion: "1.0.0", name: "pods", plugins };
      return write("/etc/cni/net.d/10-pods.conflist", JSON.stringify(conflist));
    },
    level: "error",
    says: /CNI plugin "whereabouts" of network "pods" is not in/,
  },
  {
    name: "a plugin in a folder that berthd is not told of",
    check: "cni",
    make: async ({ root, write }) => {
      await rm(path.join(root, "opt/cni/bin/portmap"));
      const answer = '{"supportedVersions":["1.0.0"]}';
      await write("/usr/libexec/cni/portmap", `#!/bin/sh\necho '${answer}'\n`, 0o755);
    },
    level: "error",
    says: /CNI plugin "portmap" of network "pods" is not in/,
    mends: true,
  },
  {
    name: "the network of an earlier add-on",
    check: "cni",
    make: ({ write }) =>
      write(
        "/etc/cni/net.d/99-old.conflist",
        '{"cniVersion":"1.0.0","name":"old","plugins":[{"type":"bridge"}]}',
      ),
    level: "note",
    says: /network old of \/etc\/cni\/net\.d\/99-old\.conflist is not used/,
    mends: true,
  },
  {
    name: "a network whose plugin is missing",
    check: "cni",
    make: ({ root }) => rm(path.join(root, "opt/cni/bin/portmap")),
    level: "error",
    says: /CNI plugin "portmap" of network "pods" is not in/,
  },
  {
    name: "a plugin that is not executable",
    check: "cni",
    make: ({ root }) => chmod(path.join(root, "opt/cni/bin/bridge"), 0o644),
    level: "error",
    says: /\/opt\/cni\/bin\/bridge is not executable/,
    mends: true,
  },
  {
    name: "a plugin that fails",
    check: "cni",
    make: ({ write }) => write("/opt/cni/bin/bridge", "#!/bin/sh\nexit 3\n", 0o755),
    level: "error",
    says: /CNI plugin \/opt\/cni\/bin\/bridge does not run/,
  },
  {
    name: "a plugin of an older CNI",
    check: "cni",
    make: ({ write }) =>
      write("/opt/cni/bin/bridge", `#!/bin/sh\necho '{"supportedVersions":["0.4.0"]}'\n`, 0o755),
    level: "error",
    says: /bridge does not speak 1\.0\.0/,
  },
  {
    name: "a hosts.toml that is no TOML",
    check: "registries",
    make: ({ write }) => write("/etc/berthd/certs.d/reg.example/hosts.toml", "server = \n"),
    level: "error",
    says: /\/etc\/berthd\/certs\.d\/reg\.example\/hosts\.toml:1:10: not valid TOML: \w/,
  },
  {
    name: "a mistyped key of a hosts.toml",
    check: "registries",
    make: ({ write }) =>
      write("/etc/berthd/certs.d/reg.example/hosts.toml", 'capabilites = ["pull"]\n'),
    level: "warning",
    says: /hosts\.toml: key "capabilites" is not known, it is passed over \(did you mean "capabilities"\?\)/,
  },
  {
    name: "a mirror that is asked by no protocol of registries",
    check: "registries",
    make: ({ write }) =>
      write("/etc/berthd/certs.d/reg.example/hosts.toml", '[host."ftp://mirror.example"]\n'),
    level: "error",
    says: /hosts\.toml: "ftp:\/\/mirror\.example": a registry is asked by http or https, not by "ftp"/,
  },
  {
    name: "a registry whose certificate is missing",
    check: "registries",
    make: ({ write }) => write("/etc/berthd/certs.d/reg.example/hosts.toml", 'ca = "gone.crt"\n'),
    level: "error",
    says: /there is no \/etc\/berthd\/certs\.d\/reg\.example\/gone\.crt/,
  },
  {
    name: "a registry whose authority, named by no file, is none",
    check: "registries",
    make: ({ write }) => write("/etc/berthd/certs.d/reg.example/ca.crt", "junk\n"),
    level: "error",
    says: /"\/etc\/berthd\/certs\.d\/reg\.example\/ca\.crt" has no certificate/,
    mends: true,
  },
  {
    name: "a registry whose authority, named by its file, is none",
    check: "registries",
    make: async ({ write }) => {
      await write("/etc/berthd/certs.d/reg.example/hosts.toml", 'ca = "own.pem"\n');
      await write("/etc/berthd/certs.d/reg.example/own.pem", "junk\n");
    },
    level: "error",
    says: /own\.pem", which is ca in \/etc\/berthd\/certs\.d\/reg\.example\/hosts\.toml, has no certificate/,
  },
  {
    name: "a registry's client certificate that is junk",
    check: "registries",
    make: async ({ write }) => {
      await write("/etc/berthd/certs.d/reg.example/client.cert", "junk\n");
      await write("/etc/berthd/certs.d/reg.example/client.key", "junk\n");
    },
    level: "error",
    says: /\/etc\/berthd\/certs\.d\/reg\.example: its certificates or keys cannot be used/,
  },
  {
    name: "a registry's key without its certificate",
    check: "registries",
    make: ({ write }) => write("/etc/berthd/certs.d/reg.example/client.key", "junk\n"),
    level: "warning",
    says: /\/etc\/berthd\/certs\.d\/reg\.example\/client\.key has no client\.cert beside it/,
  },
  {
    name: "a registry whose certificate nobody checks, nor that it has one",
    check: "registries",
    make: ({ write }) =>
      write(
        "/etc/berthd/certs.d/reg.example/hosts.toml",
        'server = "http://reg.example:15000"\nskip_verify = true\n[host."http://m.example:1"]\nskip_verify = true\n',
      ),
    level: "warning",
    says: /the certificate of m\.example:1 is not checked/,
  },
  {
    name: "a registry whose certificate nobody checks",
    check: "registries",
    make: ({ write }) =>
      write("/etc/berthd/certs.d/reg.example/hosts.toml", "skip_verify = true\n"),
    level: "warning",
    says: /the certificate of reg\.example is not checked/,
  },
  {
    name: "a kubelet of another runtime",
    check: "kubelet",
    make: ({ write }) =>
      write(kubeletYaml, "containerRuntimeEndpoint: unix:///run/crio/crio.sock\n"),
    level: "warning",
    says: /containerRuntimeEndpoint is unix:\/\/\/run\/crio\/crio\.sock/,
    mends: true,
  },
  {
    name: "a kubelet without an endpoint",
    check: "kubelet",
    make: ({ write }) => write(kubeletYaml, "cgroupDriver: cgroupfs\n"),
    level: "warning",
    says: /the kubelet has no containerRuntimeEndpoint/,
    mends: true,
  },
  {
    name: "images of another runtime",
    check: "kubelet",
    make: ({ write }) =>
      write(
        kubeletYaml,
        "containerRuntimeEndpoint: unix:///run/berthd/berthd.sock\nimageServiceEndpoint: unix:///run/other.sock\n",
      ),
    level: "error",
    says: /imageServiceEndpoint is unix:\/\/\/run\/other\.sock/,
    mends: true,
  },
  {
    name: "a kubelet whose flag names another runtime",
    check: "kubelet",
    make: (node) =>
      flagsOf(node, "--container-runtime-endpoint=unix:///var/run/crio/crio.sock --v=2"),
    level: "warning",
    says: /containerRuntimeEndpoint is unix:\/\/\/var\/run\/crio\/crio\.sock/,
    mends: true,
  },
  {
    name: "a flag for images of another runtime",
    check: "kubelet",
    make: (node) => flagsOf(node, "--v=2 --image-service-endpoint unix:///run/other.sock"),
    level: "error",
    says: /imageServiceEndpoint is unix:\/\/\/run\/other\.sock/,
    mends: true,
  },
  {
    name: "a kubelet's file that is no YAML",
    check: "kubelet",
    make: ({ write }) => write(kubeletYaml, "a: [\n"),
    level: "error",
    says: /kubelet's configuration: \/var\/lib\/kubelet\/config\.yaml/,
  },
  {
    name: "a flag that the kubelet no longer knows",
    check: "kubelet",
    make: ({ root, write }) =>
      runningKubelet(write, root, 37, "--pod-infra-container-image=pause:3"),
    level: "error",
    says: /--pod-infra-container-image, which went with Kubernetes 1\.35/,
  },
  {
    name: "a flag that the next kubelet will not know",
    check: "kubelet",
    make: ({ root, write }) => runningKubelet(write, root, 36, "--containerd=/run/x.sock"),
    level: "warning",
    says: /--containerd, which went with Kubernetes 1\.37/,
  },
  {
    name: "a gate that has gone",
    check: "kubelet",
    make: ({ root, write }) =>
      runningKubelet(write, root, 37, "--feature-gates=SidecarContainers=true"),
    level: "error",
    says: /gate SidecarContainers went with Kubernetes 1\.37/,
  },
  {
    name: "a gate that is locked",
    check: "kubelet",
    make: ({ write }) =>
      write(
        kubeletYaml,
        "containerRuntimeEndpoint: unix:///run/berthd/berthd.sock\nfeatureGates: {KubeletPSI: false}\n",
      ),
    level: "error",
    says: /KubeletPSI is set to false, and is locked to true/,
    mends: true,
  },
  {
    name: "a gate that goes, among a flag's others",
    check: "kubelet",
    make: (node) => flagsOf(node, "--feature-gates=SidecarContainers=true,ImageVolume=true --v=2"),
    level: "warning",
    says: /gate SidecarContainers went with Kubernetes 1\.37/,
    mends: true,
  },
  {
    name: "a flag that went, in a drop-in of the unit",
    check: "kubelet",
    make: async ({ root, write }) => {
      await rm(path.join(root, `proc/${kubeletPid}`), { recursive: true });
      const units = "/etc/systemd/system/kubelet.service";
      await write(units, `[Service]\nExecStart=${root}/usr/local/bin/kubelet\n`);
      await write(
        `${units}.d/10-kubeadm.conf`,
        `[Service]\nExecStart=\nExecStart=/usr/local/bin/kubelet $CONFIG $KUBELET_EXTRA_ARGS\nEnvironment="CONFIG=--config=${kubeletYaml}"\n`,
      );
      await write(
        `${units}.d/20-old.conf`,
        '[Service]\nEnvironment="KUBELET_EXTRA_ARGS=--v=2 --container-runtime=remote --containerd /x"\n',
      );
    },
    level: "warning", // another system's kubelet is not asked for its version
    says: /given --container-runtime, which went with Kubernetes 1\.27/,
    mends: true,
  },
  {
    name: "a node that swaps",
    check: "kubelet",
    make: async ({ write }) => {
      await write("/proc/swaps", "Filename Type Size Used Priority\n/swap.img file 8 0 -2\n");
      await write("/etc/fstab", "/swap.img none swap sw 0 0\n");
    },
    level: "error",
    says: /the node swaps to \/swap\.img/,
    mends: true,
  },
  {
    name: "a kubeconfig of the kubelet that is cut off",
    check: "kubelet",
    make: ({ write }) => write(kubeletConf, "clusters: [\n"),
    level: "error",
    says: /\/etc\/kubernetes\/kubelet\.conf cannot be read/,
  },
  {
    name: "a kubeconfig of the kubelet whose certificate is not there",
    check: "kubelet",
    make: ({ write }) =>
      write(
        kubeletConf,
        kubeconfigText("https://127.0.0.1:1", {
          "client-certificate": "/var/lib/kubelet/pki/gone.pem",
        }),
      ),
    level: "error",
    says: /kubelet\.conf names \/var\/lib\/kubelet\/pki\/gone\.pem, which is not there/,
  },
  {
    name: "an API server that cannot be reached",
    check: "kubelet",
    make: ({ write }) => write(kubeletConf, kubeconfigText("https://127.0.0.1:1", { token: "t" })),
    level: "warning",
    says: /https:\/\/127\.0\.0\.1:1, cannot be reached: connect ECONNREFUSED/,
  },
  {
    name: "a kubelet that does not run",
    check: "kubelet",
    make: ({ root }) => rm(path.join(root, `proc/${kubeletPid}`), { recursive: true }),
    level: "warning",
    says: /the kubelet does not run/,
  },
  {
    name: "a streaming certificate that is not there",
    check: "certificates",
    make: ({ write }) =>
      write(
        berthdToml,
        '[streaming]\ntls_cert_file = "/etc/berthd/tls.crt"\ntls_key_file = "/etc/berthd/tls.key"\n',
      ),
    level: "error",
    says: /there is no \/etc\/berthd\/tls\.crt/,
    leadsTo: /^the streaming server does not start/,
  },
  {
    name: "a registry's certificate that has ended",
    check: "certificates",
    make: ({ write }) => write("/etc/berthd/certs.d/reg.example/ca.crt", endedCertificate),
    level: "error",
    says: /reg\.example\/ca\.crt \(CN=reg\.example\) has ended/,
  },
  {
    name: "a registry's certificate that ends soon",
    check: "certificates",
    make: async ({ write }) =>
      write("/etc/berthd/certs.d/reg.example/ca.crt", await certificateFor(3)),
    level: "warning",
    says: /reg\.example\/ca\.crt \(CN=reg\.example\) ends in [23] days/,
  },
  {
    name: "a kubelet whose certificate has ended",
    check: "certificates",
    make: ({ write }) => write("/var/lib/kubelet/pki/kubelet-client-current.pem", endedCertificate),
    level: "error",
    says: /kubelet-client-current\.pem \(CN=reg\.example\) has ended/,
    advises: /kubeadm token create --print-join-command/,
  },
  {
    name: "a kubelet whose kubeconfig holds a certificate that has ended",
    check: "certificates",
    make: ({ write }) => {
      const held = Buffer.from(endedCertificate).toString("base64");
      const user = { "client-certificate-data": held };
      return write(kubeletConf, kubeconfigText("https://127.0.0.1:1", user));
    },
    level: "error",
    says: /kubelet\.conf \(CN=reg\.example\) has ended/,
  },
  {
    name: "an operator plugin that others can write",
    check: "plugins",
    make: ({ write }) => write("/etc/berthd/plugins.d/pin.js", "", 0o666),
    level: "error",
    says: /operator plugin pin: \/etc\/berthd\/plugins\.d\/pin\.js can be written by others/,
    mends: true,
  },
  {
    name: "an operator plugin that is configured and not there",
    check: "plugins",
    make: ({ write }) => write(berthdToml, "[plugins.config.gone]\n"),
    level: "error",
    says: /operator plugin gone: no file/,
  },
  {
    name: "an NRI plugin without an index",
    check: "plugins",
    make: ({ write }) => write("/opt/nri/plugins/pinning", "#!/bin/sh\n", 0o755),
    level: "warning",
    says: /\/opt\/nri\/plugins\/pinning: plugin "pinning" is not named INDEX-NAME/,
    mends: true,
  },
  {
    name: "an NRI plugin that is not executable",
    check: "plugins",
    make: ({ write }) => write("/opt/nri/plugins/10-pinning", "#!/bin/sh\n"),
    level: "warning",
    says: /10-pinning is not executable/,
    mends: true,
  },
  {
    name: "a device file that is none",
    check: "plugins",
    make: ({ write }) => write("/etc/cdi/vendor.json", "{}"),
    level: "warning",
    says: /\/etc\/cdi\/vendor\.json/,
    mends: false,
  },
  {
    name: "a device file by a name that nobody reads",
    check: "plugins",
    make: ({ write }) => write("/etc/cdi/vendor.yml", "kind: a.b/c\ndevices: []\n"),
    level: "warning",
    says: /vendor\.yml is not read/,
  },
  {
    name: "a RuntimeClass whose handler is not here",
    check: "classes",
    make: (node) => clusterThat((response) => json(response, 200, { items: classes }), node),
    level: "warning",
    says: /no handler kata, which RuntimeClass sandboxed names/,
  },
  {
    name: "an API server that does not answer",
    check: "classes",
    make: (node) => clusterThat(refusal(401, "Unauthorized"), node),
    level: "warning",
    says: /the API server does not tell RuntimeClasses: .*Unauthorized/,
  },
];

const classes = [
  { metadata: { name: "sandboxed" }, handler: "kata" },
  { metadata: { name: "usual" }, handler: "runc" },
];

/** An API server for the node; it ends with the test's process. */
async function clusterThat(answer: Answer, { write }: MadeNode): Promise<void> {
  const server = await ScriptedApiServer.start();
  server.unref();
  server.answer = answer;
  await write(kubeletConf, kubeconfigText(server.url, { token: "t" }));
}

/** One that ends so many days from now. */
async function certificateFor(days: number): Promise<string> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
  const subject = ["/dev/null", "-subj", "/CN=reg.example", "-days", String(days)];
  return must("openssl", ["req", "-x509", ...key, ...subject]);
}
