// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { run } from "../../src/base/process.ts";
import { findProgram } from "../../test/support/lacking.ts";
import { fileBytes, writeOciLayout } from "../../test/support/oci-image.ts";

export const imageName = "localhost/quickstart/busybox:1";

/** Makes an image of this machine's static busybox, as an OCI layout; answers its folder. */
export async function makeImage(folder: string): Promise<string> {
  const busybox = findProgram("busybox");
  if (busybox === undefined) throw new Error("busybox is missing: run scripts/setup.sh");
  const applets = (await run(busybox, ["--list"])).stdout.toString().trim().split("\n");
  const layout = path.join(folder, "image");
  await writeOciLayout(layout, imageName, {
    config: { Env: ["PATH=/bin", "GREETING=hello from a pod"], Cmd: ["/bin/sh"] },
    layers: [
      [
        { path: "bin" },
        { path: "bin/busybox", content: await fileBytes(busybox), mode: 0o755 },
        ...applets
          .filter((name) => name !== "busybox")
          .map((name) => ({ path: `bin/${name}`, symlink: "busybox" })),
        { path: "etc" },
        { path: "etc/passwd", content: "root:x:0:0:root:/root:/bin/sh\n" },
        { path: "root", mode: 0o700 },
        { path: "tmp", mode: 0o1777 },
      ],
    ],
  });
  return layout;
}
