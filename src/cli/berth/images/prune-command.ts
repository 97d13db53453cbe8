// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault, isFault } from "../../../base/errors.ts";
import { mapAtOnce } from "../../../base/map-at-once.ts";
import type { Image } from "../../../gen/cri.gen.ts";
import { canonicalName, parseReference } from "../../../images/reference.ts";
import type { CliIo } from "../../cli-io.ts";
import { printableLine } from "../../printable.ts";
import { criNamespace, type Session, withCommonFlags, withSession } from "../call-options.ts";
import { bytes, shortId } from "../table.ts";

const atOnce = 8;
const cri = "runtime.v1.ImageService";

export function addPruneCommand(image: Command, io: CliIo): void {
  withCommonFlags(image.command("prune"))
    .description("remove the images that no container uses and that are not pinned")
    .option("--dry-run", "only say which", false)
    .action((flags: { dryRun: boolean }, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const unused = await unusedImages(session);
        const failures = flags.dryRun ? new Map<string, Error>() : await removeAll(session, unused);
        const gone = unused.filter(({ id }) => !failures.has(id));
        const size = gone.reduce((sum, one) => sum + one.size, 0n);
        const removed = gone.map(({ id }) => id);
        session.show({ [flags.dryRun ? "unused" : "removed"]: removed, size }, () =>
          [
            ...gone.map((one) => `${lineOf(one)}\n`),
            `${totalOf(gone.length, size, flags.dryRun)}\n`,
          ].join(""),
        );
        for (const [id, error] of failures) {
          io.error(`berth: ${shortId(id)}: ${printableLine(error.message)}\n`);
        }
        if (failures.size > 0) {
          throw fault(
            "UNKNOWN",
            `${failures.size} of ${unused.length} images could not be removed`,
          );
        }
      }),
    );
}

function lineOf({ id, repoTags, repoDigests }: Image): string {
  return `${shortId(id)} ${repoTags.join(", ") || repoDigests[0] || "<none>"}`;
}

function totalOf(count: number, size: bigint, isDry: boolean): string {
  const images = `${count} image${count === 1 ? "" : "s"}, ${bytes(size)} with shared layers,`;
  return isDry ? `${images} would be removed` : `${images} removed`;
}

async function unusedImages(session: Session): Promise<readonly Image[]> {
  // First the images: what comes after is not asked about, and what is used by then is known.
  const { images } = await session.client(cri).ListImages({}, session.call);
  const used = await usedNames(session);
  return images.filter(
    ({ id, pinned, repoTags, repoDigests }) =>
      !pinned && ![id, ...repoTags, ...repoDigests].some((name) => used.has(name)),
  );
}

/** Ids and names of the images of all containers, and of those that they mount. */
async function usedNames(session: Session): Promise<ReadonlySet<string>> {
  const runtime = session.client("runtime.v1.RuntimeService");
  const { containers } = await runtime.ListContainers({}, session.call);
  const used = new Set(containers.flatMap(({ imageId, imageRef }) => [imageId, imageRef]));
  await mapAtOnce(containers, atOnce, async ({ id: containerId }) => {
    try {
      const { status } = await runtime.ContainerStatus({ containerId }, session.call);
      const mounted = (status?.mounts ?? []).map(({ image }) => image?.image ?? "");
      for (const name of [status?.imageRef ?? "", ...mounted]) addNames(used, name);
    } catch (error) {
      if (!isFault(error, "NOT_FOUND")) throw error; // it has gone meanwhile
    }
  });
  // `berth run` and ctr make containers that CRI does not list, of the same images.
  const records = await session
    .client("containerd.services.containers.v1.Containers")
    .List({ filters: [] }, { ...session.call, namespace: criNamespace });
  for (const { image } of records.containers) addNames(used, image);
  return used;
}

function addNames(used: Set<string>, name: string): void {
  if (name === "") return;
  used.add(name);
  try {
    used.add(canonicalName(parseReference(name)));
  } catch (error) {
    if (!isFault(error, "INVALID_ARGUMENT")) throw error; // an id
  }
}

async function removeAll(
  session: Session,
  images: readonly Image[],
): Promise<ReadonlyMap<string, Error>> {
  const failures = new Map<string, Error>();
  for (const { id } of images) {
    try {
      await session.client(cri).RemoveImage({ image: { image: id } }, session.call);
    } catch (error) {
      if (!isFault(error)) throw error;
      failures.set(id, error);
    }
  }
  return failures;
}
