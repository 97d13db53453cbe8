// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileBytes, writeOciLayout } from "../oci-image.ts";
import { pushLayout, pushTestImages, shellLayer } from "../test-images.ts";
import type { Box } from "./box.ts";
import { listens } from "./control-plane.ts";
import { type Service, startService } from "./service.ts";

/** A registry in a box, which the nodes know by a name of their hosts.toml. */
export interface ImageSource extends AsyncDisposable {
  readonly service: Service;
  /** As the host and the nodes reach it: `10.224.0.1:5000`. */
  readonly host: string;
  /** What pods name. */
  readonly images: ClusterImages;
  /** Gives the shell's image another name: `late:1`. */
  pushShell(name: string): Promise<void>;
  /** The shell's image with so many bytes more, which no other image has. */
  pushLarge(name: string, bytes: number): Promise<void>;
}

export interface ClusterImages {
  readonly shell: string;
  readonly dns: string;
  /** Kubernetes' own program for tests, alone. */
  readonly agnhost: string;
}

/** The registry's name in the images of pods. */
export const registryName = "registry.cluster.test";

const port = 5000;

export async function startImageSource(
  box: Box,
  settings: {
    readonly folder: string;
    readonly address: string;
    readonly coredns: string;
    readonly agnhost: string;
  },
): Promise<ImageSource> {
  const { folder, address, coredns, agnhost } = settings;
  await using undo = new AsyncDisposableStack();
  await mkdir(folder, { recursive: true });
  const host = `${address}:${port}`;
  const config = path.join(folder, "registry.json");
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: "warn", formatter: "json" },
      storage: { filesystem: { rootdirectory: path.join(folder, "data") } },
      http: { addr: host, secret: "test" },
    }),
  );
  const service = undo.use(
    await startService(box, {
      name: "registry",
      argv: ["docker-registry", "serve", config],
      folder,
      env: { OTEL_TRACES_EXPORTER: "none" },
      isUp: () => listens(box, port),
    }),
  );
  await pushTestImages({ host }, path.join(folder, "layouts"));
  for (const [name, program] of Object.entries({ coredns, agnhost })) {
    const layout = path.join(folder, "layouts", name);
    await writeOciLayout(layout, "1", {
      config: { Entrypoint: [`/${name}`] },
      layers: [[{ path: name, content: await fileBytes(program), mode: 0o755 }]],
    });
    await pushLayout(layout, "1", `${host}/${name}:1`);
  }
  const owned = undo.move();
  return {
    service,
    host,
    pushShell: (name) => pushLayout(path.join(folder, "layouts", "shell"), "1", `${host}/${name}`),
    pushLarge: async (name, bytes) => {
      const layout = path.join(folder, "layouts", "large");
      await writeOciLayout(layout, "1", {
        config: { Cmd: ["sh"] },
        layers: [await shellLayer(), [{ path: "much", content: randomBytes(bytes) }]],
      });
      await pushLayout(layout, "1", `${host}/${name}`);
      await rm(layout, { recursive: true });
    },
    images: {
      shell: `${registryName}/shell:1`,
      dns: `${registryName}/coredns:1`,
      agnhost: `${registryName}/agnhost:1`,
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
