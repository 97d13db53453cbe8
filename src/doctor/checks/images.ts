// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import { connectLight, type LightConnection } from "../../rpc/light/light-client.ts";
import type { Check } from "../check.ts";
import { error, type Finding, ok } from "../finding.ts";
import type { Patient } from "../patient.ts";

/** Of pods' images. */
const namespace = "k8s.io";
const mostBlobs = 20_000;
const mostNamed = 5;

export const images: Check = {
  name: "images",
  about:
    "blobs of images that are gone from the disk or cut off; berth image verify reads them all",
  needsConfig: true,
  run: async (patient, call) => {
    if ((await patient.daemon()).state !== "up") return [];
    using connection = connectLight(patient.host.at(patient.socket));
    const blobs = await listed(connection, call);
    const damaged: string[] = [];
    for (const { digest, size } of blobs) {
      call.signal.throwIfAborted();
      const problem = await problemOf(patient, digest, size);
      if (problem !== undefined && (await isKnown(connection, digest, call)))
        damaged.push(`${digest} ${problem}`);
    }
    if (damaged.length > 0) return [told(damaged)];
    const { length } = blobs;
    return [
      ok(
        length < mostBlobs
          ? `the disk has all ${length} blobs of images`
          : `the disk has the first ${length} blobs of images: no more are looked at`,
      ),
    ];
  },
};

async function listed(connection: LightConnection, call: Cancellable) {
  const found: { readonly digest: string; readonly size: bigint }[] = [];
  const content = connection.client("containerd.services.content.v1.Content");
  for await (const { info } of content.List({ filters: [] }, { ...call, namespace })) {
    for (const { digest, size } of info) found.push({ digest, size });
    if (found.length >= mostBlobs) break;
  }
  return found;
}

/** A clause; undefined where the file is as long as it should be. */
async function problemOf(
  { host, layout }: Patient,
  digest: string,
  size: bigint,
): Promise<string | undefined> {
  const facts = await host.stat(`${layout.blobs}/${digest.replace(":", "/")}`);
  if (facts === undefined) return "is not there";
  return BigInt(facts.size) === size ? undefined : `has ${facts.size} of ${size} bytes`;
}

/** It may have been collected meanwhile. */
async function isKnown(
  connection: LightConnection,
  digest: string,
  call: Cancellable,
): Promise<boolean> {
  try {
    const content = connection.client("containerd.services.content.v1.Content");
    await content.Info({ digest }, { ...call, namespace });
    return true;
  } catch (thrown) {
    if (isFault(thrown, "NOT_FOUND")) return false;
    throw thrown;
  }
}

function told(damaged: readonly string[]): Finding {
  const more = damaged.length > mostNamed ? `, and ${damaged.length - mostNamed} more` : "";
  return error({
    what: `blobs of images are damaged: ${damaged.slice(0, mostNamed).join(", ")}${more}`,
    why: "containers of these images cannot be created, or the images cannot be unpacked or pushed",
    mend: "berth image verify # drops what is damaged, and the next pull brings it again",
  });
}
