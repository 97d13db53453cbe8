// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { debianPackage, librariesOf } from "./debian-package.ts";
import { findProgram } from "./lacking.ts";
import {
  fileBytes,
  type ImageProcess,
  type ImageRecipe,
  type LayerEntry,
  writeOciLayout,
} from "./oci-image.ts";
import type { Registry } from "./registry.ts";
import { must } from "./run.ts";
import { pushLayout } from "./test-images.ts";

/** The registries that critest names; a mirror answers for them, so its images keep their names. */
export const critestRegistries = ["registry.k8s.io", "gcr.io", "k8s.gcr.io"] as const;

/**
 * Builds the images that critest pulls from Debian's packages, and pushes them: busybox (dynamic,
 * its applets hard links, so that masking one path masks one applet), nginx, and critest's small
 * ones with users, groups and tags.
 */
export async function pushCritestImages(registry: Registry, folder: string): Promise<void> {
  const busybox = await busyboxLayer();
  const nginx = await nginxLayer();
  const plain: ImageProcess = { Env: [`PATH=${searchPath}`], Cmd: ["sh"] };
  const base: ImageRecipe = { config: plain, layers: [busybox] };
  const withUser = (user: string): ImageRecipe => ({ ...base, config: { ...plain, User: user } });
  const marked = (name: string): ImageRecipe => ({
    ...base,
    layers: [busybox, [{ path: name, content: `${name}\n` }]],
  });
  const web = (port: number): ImageRecipe => ({
    config: {
      Env: [`PATH=${searchPath}`],
      Cmd: ["nginx", "-g", "daemon off;"],
      ExposedPorts: { [`${port}/tcp`]: {} },
      StopSignal: "SIGTERM",
    },
    layers: [busybox, nginx, [{ path: "etc/nginx/nginx.conf", content: nginxConf(port) }]],
  });
  const cri = "k8s-staging-cri-tools";
  const images: readonly (readonly [readonly string[], ImageRecipe])[] = [
    [["e2e-test-images/busybox:1.29-2"], base],
    [["e2e-test-images/nginx:1.14-2"], web(80)],
    [["e2e-test-images/httpd:2.4.39-4"], httpd(busybox)],
    [["e2e-test-images/nonewprivs:1.3"], await nonewprivs(busybox)],
    [
      [`${cri}/hostnet-nginx-${process.arch === "x64" ? "amd64" : process.arch}:latest`],
      web(12003),
    ],
    [["pause:3.9"], { config: { Entrypoint: ["/bin/sleep", "2147483"] }, layers: [busybox] }],
    [[`${cri}/test-image-user-uid:latest`], withUser("1002")],
    [[`${cri}/test-image-user-username:latest`], withUser("www-data")],
    [[`${cri}/test-image-user-uid-group:latest`], withUser("1003:1004")],
    [[`${cri}/test-image-user-username-group:latest`], withUser("www-data:1004")],
    [[`${cri}/test-image-predefined-group:latest`], predefinedGroup(busybox)],
    [[`${cri}/test-image-latest:latest`], marked("latest")],
    [[`${cri}/test-image-tag:test`], marked("tag")],
    [[`${cri}/test-image-tag:all`], marked("all")],
    ...["1", "2", "3"].map(
      (n) => [[`${cri}/test-image-${n}:latest`], marked(n)] as [string[], ImageRecipe],
    ),
    [["1", "2", "3"].map((tag) => `${cri}/test-image-tags:${tag}`), marked("tags")],
  ];
  for (const [names, recipe] of images) {
    const layout = path.join(folder, names[0]!.replaceAll(/[/:]/g, "_"));
    await writeOciLayout(layout, "1", recipe);
    for (const name of names) await pushLayout(layout, "1", `${registry.host}/${name}`);
  }
}

/** Writes `CONFIG_PATH/HOST/hosts.toml` for critest's registries, all leading to ours. */
export async function mirrorCritestRegistries(
  configPath: string,
  registry: Registry,
): Promise<void> {
  for (const host of critestRegistries) {
    await mkdir(path.join(configPath, host), { recursive: true });
    await writeFile(
      path.join(configPath, host, "hosts.toml"),
      `server = "http://${registry.host}"\n\n[host."http://${registry.host}"]\ncapabilities = ["pull", "resolve"]\n`,
    );
  }
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const passwd = `root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;
const group = "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n";

async function busyboxLayer(): Promise<LayerEntry[]> {
  const program = path.join(await debianPackage("busybox"), "bin", "busybox");
  const applets = (await must(program, ["--list"])).trim().split("\n");
  const entries: LayerEntry[] = [
    ...[
      "bin",
      "etc",
      "home",
      "root",
      "var",
      "var/run",
      "var/www",
      "usr",
      "usr/bin",
      "usr/sbin",
    ].map((name) => ({ path: name })),
    { path: "tmp", mode: 0o1777 },
    { path: "etc/passwd", content: passwd },
    { path: "etc/group", content: group },
    { path: "bin/busybox", content: await fileBytes(program), mode: 0o755 },
    ...applets
      .filter((name) => name !== "busybox")
      .map((name) => ({ path: `bin/${name}`, hardlink: "bin/busybox" })),
    ...(await libraryEntries(program)),
  ];
  // What critest runs in it and Debian's busybox lacks.
  for (const name of ["ipcs", "pgrep"]) {
    const host = findProgram(name);
    if (host === undefined) throw new Error(`${name} is missing (util-linux, procps)`);
    entries.push({ path: `usr/bin/${name}`, content: await fileBytes(host), mode: 0o755 });
    entries.push(...(await libraryEntries(host)));
  }
  return entries;
}

async function nginxLayer(): Promise<LayerEntry[]> {
  const program = path.join(await debianPackage("nginx"), "usr", "sbin", "nginx");
  return [
    { path: "usr/sbin/nginx", content: await fileBytes(program), mode: 0o755 },
    ...(await libraryEntries(program)),
    ...["etc/nginx", "var/log", "var/log/nginx", "var/lib", "var/lib/nginx", "srv"].map((name) => ({
      path: name,
    })),
    { path: "srv/index.html", content: "<html><body><h1>Welcome</h1></body></html>\n" },
  ];
}

async function libraryEntries(program: string): Promise<LayerEntry[]> {
  const libraries = await librariesOf(program);
  return Promise.all(
    libraries.map(async ({ path: name, file }) => ({
      path: name.slice(1),
      content: await fileBytes(file),
      mode: 0o755,
    })),
  );
}

function predefinedGroup(busybox: readonly LayerEntry[]): ImageRecipe {
  return {
    config: { Env: [`PATH=${searchPath}`], Cmd: ["sh"], User: "1000" },
    layers: [
      busybox,
      [
        {
          path: "etc/passwd",
          content: `${passwd}default-user:x:1000:1000::/home/default-user:/bin/sh\n`,
        },
        {
          path: "etc/group",
          content: `${group}default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n`,
        },
        { path: "home/default-user", uid: 1000, gid: 1000 },
      ],
    ],
  };
}

function httpd(busybox: readonly LayerEntry[]): ImageRecipe {
  return {
    config: {
      Env: [`PATH=${searchPath}`],
      Cmd: ["sh", "-c", "echo httpd: serving; exec httpd -f -p 80 -h /srv"],
    },
    layers: [busybox, [{ path: "srv" }, { path: "srv/index.html", content: "It works!\n" }]],
  };
}

/** Prints the effective uid of a setuid program: 0, or the caller's under no_new_privs. */
async function nonewprivs(busybox: readonly LayerEntry[]): Promise<ImageRecipe> {
  const id = findProgram("id");
  if (id === undefined) throw new Error("id is missing (coreutils)");
  return {
    config: {
      Env: [`PATH=${searchPath}`],
      Cmd: ["sh", "-c", 'echo "Effective uid: $(/usr/bin/setuid-id -u)"'],
    },
    layers: [
      busybox,
      [
        { path: "usr/bin/setuid-id", content: await fileBytes(id), mode: 0o4755 },
        ...(await libraryEntries(id)),
      ],
    ],
  };
}

function nginxConf(port: number): string {
  return `worker_processes 1;
pid /var/run/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  server { listen ${port}; root /srv; }
}
`;
}
