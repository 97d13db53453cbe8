// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { completionScripts } from "../../src/cli/berth/completion.ts";
import { buildBerth } from "../../src/cli/berth-program.ts";
import { buildBerthd } from "../../src/cli/berthd-program.ts";
import type { CliIo } from "../../src/cli/cli-io.ts";
import type { Bundle } from "./bundle.ts";
import { configPage } from "./config-page.ts";
import { licenceTexts } from "./licences.ts";
import { manPage } from "./man-page.ts";
import { aroundBerth, aroundBerthd } from "./man-texts.ts";
import type { NpmPart } from "./npm-parts.ts";
import type { PackedFile } from "./packed-file.ts";
import { type SbomSubject, sbom } from "./sbom.ts";
import { contentOf } from "./tar.ts";
import type { Target } from "./target.ts";

/** What a package is made of. */
export interface PackageParts {
  /** The project's folder. */
  readonly root: string;
  readonly target: Target;
  readonly about: SbomSubject;
  readonly bundle: Bundle;
  /** npm's Node for the target, and koffi with its native part. */
  readonly node: NpmPart;
  readonly koffi: NpmPart;
  readonly koffiNative: NpmPart;
  /** What the bundle has code of. */
  readonly bundled: readonly NpmPart[];
  /** The sandbox's binary for the target. */
  readonly pause: string;
}

/** All files of a package, where they go on a node. */
export interface PackageTree {
  /** VERSION-BUILD: of two builds that differ in a byte of what runs, the names differ. */
  readonly name: string;
  /** For an archive: what runs is in a folder of this name, to which a link leads, so that versions lie side by side. */
  readonly archive: readonly PackedFile[];
  /**
   * For dpkg, which takes the files of the version before away while its daemon runs: what is to run is in a folder
   * that nothing runs from. deploy/debian/postinst makes the folder of the name from it, and the link.
   */
  readonly deb: readonly PackedFile[];
}

const home = "usr/lib/berth";
const doc = "usr/share/doc/berth";
const deploy = "deploy/debian";

export function packageTree(parts: PackageParts): PackageTree {
  const running = whatRuns(parts);
  const hash = createHash("sha256");
  for (const { path: name, mode, content } of running) {
    const bytes = contentOf({ path: name, content });
    hash.update(`${name} ${mode ?? 0} ${bytes.length}\n`).update(bytes);
  }
  const name = `${parts.about.version}-${hash.digest("hex").slice(0, 12)}`;
  const others = besides(parts);
  const below = (folder: string): PackedFile[] =>
    running.map((file) => ({ ...file, path: `${home}/${folder}/${file.path}` }));
  return {
    name,
    archive: [...below(name), { path: `${home}/current`, content: { linkTo: name } }, ...others],
    deb: [...below("package"), { path: `${home}/package/name`, content: `${name}\n` }, ...others],
  };
}

/** What the programs are made of, below one folder. */
function whatRuns(parts: PackageParts): PackedFile[] {
  const { root, target, about } = parts;
  const own = ownOf(root);
  return [
    own("bin/berthd", "bin/berthd", 0o755),
    own("bin/berth", "bin/berth", 0o755),
    own("bin/find-node.sh", "bin/find-node.sh"),
    own("bin/heap-limit.sh", "bin/heap-limit.sh"),
    own(`${deploy}/drop-old-versions`, "bin/drop-old-versions", 0o755),
    own(`${deploy}/warm-up`, "bin/warm-up", 0o755),
    { path: "bin/node", mode: 0o755, content: { from: path.join(parts.node.folder, "bin/node") } },
    { path: `build/pause-${target.name}`, mode: 0o755, content: { from: parts.pause } },
    { path: "package.json", content: manifest(about) },
    ...[...parts.bundle.files].map(([name, content]) => ({ path: `lib/js/${name}`, content })),
    ...koffiFiles(parts),
  ];
}

/** What lies elsewhere, by names that every version has. */
function besides(parts: PackageParts): PackedFile[] {
  const { root, about } = parts;
  const own = ownOf(root);
  const all = [parts.node, parts.koffi, parts.koffiNative, ...parts.bundled];
  return [
    { path: "usr/bin/berthd", content: { linkTo: "../lib/berth/current/bin/berthd" } },
    { path: "usr/bin/berth", content: { linkTo: "../lib/berth/current/bin/berth" } },
    {
      path: "usr/lib/systemd/system/berthd.service",
      content: installedUnit(
        readFileSync(path.join(root, "deploy/systemd/berthd.service"), "utf8"),
      ),
    },
    own("deploy/tmpfiles.d/berthd.conf", "usr/lib/tmpfiles.d/berthd.conf"),
    own("deploy/config.toml", "etc/berthd/config.toml"),
    {
      path: "usr/share/bash-completion/completions/berth",
      content: completionScripts.bash,
    },
    { path: "usr/share/zsh/vendor-completions/_berth", content: completionScripts.zsh },
    { path: "usr/share/fish/vendor_completions.d/berth.fish", content: completionScripts.fish },
    ...manPages(about),
    ...["cni/10-berth.conflist", "crictl.yaml", "kubelet-config.yaml", "runtimeclass.yaml"]
      .concat("systemd/kubelet.service.d/10-berth.conf")
      .concat("prometheus/scrape.yml", "prometheus/berth-rules.yml", "grafana/berth.json")
      .concat("plugins/inject-env.js", "plugins/require-limits.js")
      .concat("kubernetes/rbac.yaml", "node-problem-detector/berth.json")
      .concat("node-problem-detector/berth-doctor.json")
      .map((name) => own(`deploy/${name}`, `${doc}/examples/${name}`)),
    own(
      "deploy/node-problem-detector/check-berth",
      `${doc}/examples/node-problem-detector/check-berth`,
      0o755,
    ),
    own("deploy/README.md", `${doc}/README.md`),
    { path: `${doc}/changelog.gz`, content: packed(readFileSync(path.join(root, "CHANGELOG.md"))) },
    {
      path: `${doc}/copyright`,
      content: licenceTexts(readFileSync(path.join(root, "LICENSE"), "utf8"), all),
    },
    { path: `${doc}/sbom.cdx.json`, content: sbom(about, all) },
  ];
}

type Own = (from: string, to: string, mode?: number) => PackedFile;

/** A file of the checkout as it is. */
function ownOf(root: string): Own {
  return (from, to, mode = 0o644) => ({
    path: to,
    mode,
    content: readFileSync(path.join(root, from)),
  });
}

/** The modules read it, two folders above them, for the version. */
function manifest({ version, revision }: SbomSubject): string {
  const fields = { name: "berthd", version, revision, type: "module", private: true };
  return `${JSON.stringify(fields, undefined, 2)}\n`;
}

/** koffi's own code, which requires its native part by the machine's kind. */
function koffiFiles({ koffi, koffiNative, target }: PackageParts): PackedFile[] {
  const copied = (part: NpmPart, ...names: string[]): PackedFile[] =>
    names.map((name) => ({
      path: `node_modules/${part.name}/${name}`,
      content: { from: path.join(part.folder, name) },
    }));
  const code = ["index.cjs", "src/static.cjs", "src/trampolines.cjs"];
  return [
    ...copied(koffi, "package.json", "index.cjs", ...code.map((name) => `src/koffi/${name}`)),
    ...copied(koffiNative, "package.json", "index.js", `linux_${target.npmName}/koffi.node`),
  ];
}

/** The unit of a checkout at /opt/berth, as it is for a package. */
function installedUnit(unit: string): string {
  return unit
    .replaceAll("/opt/berth/bin/berthd", "/usr/bin/berthd")
    .replace("Documentation=file:/opt/berth/README.md", "Documentation=man:berthd(8)")
    .replace(/^ExecReload=/m, "ExecStartPost=-/usr/lib/berth/current/bin/drop-old-versions\n$&");
}

function manPages({ version, seconds }: SbomSubject): PackedFile[] {
  const silent: CliIo = { out: () => {}, error: () => {}, env: {} };
  const pages: Readonly<Record<string, string>> = {
    "man1/berth.1": manPage(buildBerth(silent), { version, seconds, ...aroundBerth }),
    "man5/berthd.toml.5": configPage({ version, seconds }),
    "man8/berthd.8": manPage(buildBerthd(silent), { version, seconds, ...aroundBerthd }),
  };
  return Object.entries(pages).map(([name, text]) => ({
    path: `usr/share/man/${name}.gz`,
    content: packed(Buffer.from(text)),
  }));
}

function packed(bytes: Buffer): Buffer {
  return gzipSync(bytes, { level: 9 });
}
