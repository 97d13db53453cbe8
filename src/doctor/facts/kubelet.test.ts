// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { access, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { Host } from "../host.ts";
import { readKubelet } from "./kubelet.ts";

test("only a kubelet is run for its version, and none of another system that does not run", async () => {
  await using home = await scratch({ prefix: "kubelet" });
  const root = home.path;
  const ran = path.join(root, "ran");
  const make = async (file: string, text: string): Promise<string> => {
    const place = path.join(root, file);
    await mkdir(path.dirname(place), { recursive: true });
    await writeFile(place, text, { mode: 0o755 });
    return place;
  };
  const script = `#!/bin/sh\ntouch '${ran}'\necho Kubernetes v1.36.0\n`;
  const kubelet = await make("/usr/bin/kubelet", script);
  const wrapper = await make("/opt/start-kubelet", script);
  await make(
    "/etc/systemd/system/kubelet.service",
    "[Service]\nExecStart=/usr/bin/kubelet --v=2\n",
  );
  await make("/proc/9/cmdline", "kubelet\0--v=2\0");
  const minor = async (pid?: number): Promise<number | undefined> =>
    (await readKubelet(new Host(root), pid === undefined ? [] : [{ pid, name: "kubelet" }]))?.minor;
  const exe = path.join(root, "proc/9/exe");
  await symlink(wrapper, exe);
  assert.equal(await minor(9), undefined);
  assert.equal(await minor(), undefined);
  await assert.rejects(access(ran));
  await rm(exe);
  await symlink(kubelet, exe);
  assert.equal(await minor(9), 36);
});
