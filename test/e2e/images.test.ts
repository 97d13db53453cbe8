// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { writeOciLayout } from "../support/oci-image.ts";
import { type Cri } from "../support/pods.ts";
import { must } from "../support/run.ts";
import { digestIn, scriptedImage, serveImage } from "../support/scripted-registry.ts";
import { pushLayout } from "../support/test-images.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

suite("images from a registry", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  test("PullImage answers the id that every other call uses", async () => {
    const { reference, id } = bed.images.shell;
    assert.equal((await cri.images.PullImage({ image: { image: reference } })).imageRef, id);
    const { images } = await cri.images.ListImages({ filter: { image: { image: reference } } });
    assert.deepEqual(
      images.map((image) => [image.id, image.repoTags]),
      [[id, [reference]]],
    );
    assert.match(images[0]!.repoDigests[0]!, /^127\.0\.0\.1:\d+\/shell@sha256:[0-9a-f]{64}$/);
    for (const name of [reference, id, id.slice(7), images[0]!.repoDigests[0]!]) {
      const { image } = await cri.images.ImageStatus({ image: { image: name } });
      assert.equal(image?.id, id, name);
      assert.ok((image?.size ?? 0n) > 0n, name);
    }
    const { image } = await cri.images.ImageStatus({
      image: { image: bed.images.worker.reference },
    });
    assert.equal(image?.username, "worker");
  });

  test("containerd's clients find it by its id too, and are told of each name", async () => {
    const { reference, id } = bed.images.idle;
    const client = bed.daemon.client("containerd.services.images.v1.Images");
    const events = bed.daemon.client("containerd.services.events.v1.Events");
    await cri.images.RemoveImage({ image: { image: reference } });
    const abort = new AbortController();
    const told: string[] = [];
    const listening = (async () => {
      const filters = ['topic~="^/images/"'];
      for await (const { topic } of events.Subscribe({ filters }, { signal: abort.signal }))
        told.push(topic);
    })().catch(() => {});
    await until("all its names are told", async () => {
      await cri.images.PullImage({ image: { image: reference } });
      return told.length >= 3;
    });
    const managed = 'labels."io.cri-containerd.image"==managed';
    const { images } = await client.List({ filters: [managed] }, { namespace: "k8s.io" });
    const names = images.map(({ name }) => name);
    assert.ok(names.includes(id) && names.includes(reference), names.join());
    await cri.images.RemoveImage({ image: { image: id } });
    await until("its removal is told", async () => told.includes("/images/delete"));
    await cri.images.PullImage({ image: { image: reference } });
    abort.abort();
    await listening;
  });

  test("all names of one image are one image, and go together", async () => {
    const { reference, id } = bed.images.failing;
    const second = reference.replace("failing:1", "failing-too:2");
    await must("skopeo", [
      "copy",
      "--quiet",
      "--insecure-policy",
      "--src-tls-verify=false",
      "--dest-tls-verify=false",
      `docker://${reference}`,
      `docker://${second}`,
    ]);
    assert.equal((await cri.images.PullImage({ image: { image: second } })).imageRef, id);
    const { image } = await cri.images.ImageStatus({ image: { image: second } });
    assert.deepEqual(
      image?.repoTags.toSorted((a, b) => (a < b ? -1 : 1)),
      [reference, second].toSorted((a, b) => (a < b ? -1 : 1)),
    );
    await cri.images.RemoveImage({ image: { image: reference } });
    const { images } = await cri.images.ListImages({});
    assert.ok(images.every((it) => it.id !== id));
  });

  test("PullImage refuses another image for a pinned one, and goes on beside a pull that hangs", async () => {
    const folder = path.join(bed.daemon.folder, "hostile");
    const image = await scriptedImage(path.join(folder, "image"), "asked for");
    const other = await scriptedImage(path.join(folder, "other"), "not asked for");
    let isFirst = true;
    const { promise: asked, resolve: reached } = Promise.withResolvers<void>();
    await using registry = await serveImage(image, (request, response) => {
      if (request.url?.includes("/hangs/")) {
        reached();
        const hangs = isFirst;
        isFirst = false;
        return hangs;
      }
      if (!request.url?.includes("/liar/x/manifests/")) return false;
      if (request.method === "HEAD") response.writeHead(405).end();
      else response.end(other.blobs.get(other.manifest.digest));
      return true;
    });
    const pinned = { image: `${registry.host}/liar/x@${image.manifest.digest}` };
    await assert.rejects(cri.images.PullImage({ image: pinned }), /arrived with digest sha256:/);
    assert.equal((await cri.images.ImageStatus({ image: pinned })).image, null);

    const hanging = { image: `${registry.host}/hangs/x:1` };
    const abort = new AbortController();
    const hung = cri.images.PullImage({ image: hanging }, { signal: abort.signal });
    const given = assert.rejects(hung);
    await asked;
    assert.equal((await cri.images.PullImage({ image: hanging })).imageRef, image.id);
    abort.abort();
    await given;
    await cri.images.RemoveImage({ image: hanging });
  });

  test("ctr waits for a layer that a pull fetches, and gets it", async () => {
    const folder = path.join(bed.daemon.folder, "slow layer");
    const image = await scriptedImage(folder, "slow");
    const { promise: asked, resolve: reached } = Promise.withResolvers<void>();
    const { promise: ctrIsHere, resolve: ctrCame } = Promise.withResolvers<void>();
    let manifests = 0;
    await using registry = await serveImage(image, (request, response) => {
      if (request.url?.includes("/manifests/") && (manifests += 1) > 2) ctrCame();
      if (digestIn(request) !== image.layer || request.method === "HEAD") return false;
      reached();
      void ctrIsHere.then(() => setTimeout(() => response.end(image.blobs.get(image.layer)), 500));
      return true;
    });
    const name = `${registry.host}/slow/x:1`;
    const pull = cri.images.PullImage({ image: { image: name } });
    await asked;
    const { socket } = bed.daemon;
    const fetch = ["-a", socket, "-n", "k8s.io", "content", "fetch", "--plain-http", name];
    await must("ctr", fetch);
    assert.equal((await pull).imageRef, image.id);
  });

  test("a mirror of hosts.toml is asked first, by the name of the registry it stands for", async () => {
    const name = "registry.invalid";
    const folder = path.join(bed.daemon.folder, "certs.d", name);
    await mkdir(folder, { recursive: true });
    await writeFile(
      path.join(folder, "hosts.toml"),
      `server = "https://${name}"\n[host."http://${bed.registry.host}"]\ncapabilities = ["pull", "resolve"]\n`,
    );
    const reference = `${name}/shell:1`;
    const { imageRef } = await cri.images.PullImage({ image: { image: reference } });
    assert.equal(imageRef, bed.images.shell.id);
    const { image } = await cri.images.ImageStatus({ image: { image: reference } });
    assert.ok(image?.repoTags.includes(reference));
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, reference, ["true"]);
    assert.equal((await cri.reaches(id, "CONTAINER_EXITED")).exitCode, 0);
    await cri.removePod(pod.id);
    await cri.images.RemoveImage({ image: { image: reference } });
    await cri.images.PullImage({ image: { image: bed.images.shell.reference } });
  });

  test("layers lie over each other: later files win, whiteouts hide", async () => {
    const layout = path.join(bed.folder, "layered");
    await writeOciLayout(layout, "1", {
      config: { Env: ["PATH=/bin"] },
      layers: [
        [
          { path: "a", content: "lower a" },
          { path: "b", content: "lower b" },
          { path: "dir" },
          { path: "dir/hidden", content: "x" },
        ],
        [
          { path: "a", content: "upper a" },
          { path: ".wh.b", content: "" },
          { path: "dir/.wh..wh..opq", content: "" },
          { path: "dir/new", content: "y" },
        ],
      ],
    });
    const reference = `${bed.registry.host}/layered:1`;
    await pushLayout(layout, "1", reference);
    await cri.images.PullImage({ image: { image: reference } });
    const pod = await cri.runPod();
    const busybox = await must("sh", ["-c", "readlink -f $(command -v busybox)"]);
    const id = await cri.startContainer(pod, reference, ["/busybox", "sleep", "1000"], {
      mounts: [{ hostPath: busybox.trim(), containerPath: "/busybox", readonly: true }],
    });
    const script = "/busybox cat /a; /busybox ls / /dir | /busybox tr '\\n' ' '";
    const { stdout } = await cri.exec(id, ["/busybox", "sh", "-c", script]);
    assert.match(stdout, /^upper a/);
    assert.doesNotMatch(stdout, /\bb\b|hidden|\.wh\./);
    assert.match(stdout, /\/dir: new/);
    await cri.removePod(pod.id);
    await cri.images.RemoveImage({ image: { image: reference } });
  });

  test("ImageFsInfo tells where images are and what they take", async () => {
    const { imageFilesystems } = await cri.images.ImageFsInfo({});
    const [filesystem] = imageFilesystems;
    assert.ok(filesystem?.fsId?.mountpoint.startsWith(bed.daemon.folder));
    assert.ok((filesystem?.usedBytes?.value ?? 0n) > 0n);
    assert.ok((filesystem?.inodesUsed?.value ?? 0n) > 0n);
  });
});
