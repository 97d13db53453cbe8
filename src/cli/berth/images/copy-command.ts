// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault, isFault } from "../../../base/errors.ts";
import { isDigest } from "../../../content/digest.ts";
import { Unconnected } from "../../../rpc/http2/connection.ts";
import { connectLight } from "../../../rpc/light/light-client.ts";
import type { CliIo } from "../../cli-io.ts";
import { printable, printableLine } from "../../printable.ts";
import { socketPath } from "../../socket-path.ts";
import { type Session, withNamespaceFlag, withSession } from "../call-options.ts";
import { jsonOf } from "../json.ts";
import type { Copied } from "./copy-image.ts";
import type { ImageRecord, ImageStore } from "./image-record.ts";
import { openProgress, type ProgressFlags, withProgressFlag } from "./progress-view.ts";

/** Where people look for it. */
const containerdSocket = "/run/containerd/containerd.sock";

export interface CopyFlags extends ProgressFlags {
  readonly from: string;
  readonly fromNamespace?: string;
  readonly force: boolean;
  readonly unpack: boolean;
}

/** kubelets' images are in containerd's namespace "k8s.io" as well. */
export function addCopyCommand(image: Command, io: CliIo): void {
  withProgressFlag(withNamespaceFlag(image.command("copy [reference...]")))
    .description(
      "copy images of a containerd (or another berthd) that runs on this machine, without a registry: those named, or all. Each is copied with its names, for this machine's platform",
    )
    .option("--from <socket>", "the other daemon's", containerdSocket)
    .option(
      "--from-namespace <name>",
      "containerd's namespace there (default: that of --namespace)",
    )
    .option("-f, --force", "take names from images that have them here", false)
    .option(
      "--no-unpack",
      "leave the layers packed until a container of a pod uses them; in another namespace than k8s.io they always are, for `ctr run` to unpack",
    )
    .action((references: string[], flags: CopyFlags, command: Command) =>
      withSession(command, io, undefined, (session) =>
        copyImages({ session, flags, io }, references),
      ),
    );
}

/** Copies these images, or all of them. */
export async function copyImages(
  { session, flags, io }: Omit<Work, "from">,
  references: readonly string[],
): Promise<void> {
  using other = connectLight(socketPath(flags.from));
  const namespace = flags.fromNamespace ?? session.namespace;
  const { call } = session;
  const from: ImageStore = {
    client: (service) => other.client(service),
    call,
    scoped: { ...call, namespace },
    namespace,
  };
  const records = await found(from, references, flags.from);
  await copyAll({ from, session, flags, io }, records);
}

/** Names that are ids come with their image, here as there. */
async function found(
  from: ImageStore,
  references: readonly string[],
  socket: string,
): Promise<readonly ImageRecord[]> {
  const images = from.client("containerd.services.images.v1.Images");
  try {
    const { images: all } = await images.List({ filters: [] }, from.scoped);
    const named = all.flatMap((one) =>
      one.target && !isDigest(one.name) ? [{ ...one, target: one.target }] : [],
    );
    if (references.length === 0) {
      if (named.length > 0) return named;
      throw fault(
        "NOT_FOUND",
        `no image has a name in namespace "${from.namespace}" of the containerd on ${socket}`,
      );
    }
    const wanted = new Map<string, ImageRecord>();
    for (const reference of references) {
      const record = await findThere(from, reference, socket);
      const { name, target } = record;
      const names = isDigest(name)
        ? named.filter((one) => one.target.digest === target.digest)
        : [record];
      if (names.length === 0)
        throw fault("FAILED_PRECONDITION", `image "${reference}" has no name`);
      for (const one of names) wanted.set(one.name, one);
    }
    return [...wanted.values()];
  } catch (error) {
    if (!(error instanceof Unconnected)) throw error;
    throw fault(
      "UNAVAILABLE",
      `cannot reach a containerd on ${socket}: is it running there? (${error.message})\nanother socket is named with --from`,
      { cause: error },
    );
  }
}

async function findThere(
  from: ImageStore,
  reference: string,
  socket: string,
): Promise<ImageRecord> {
  const { findRecord } = await import("./image-record.ts");
  try {
    return await findRecord(from, reference);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) throw error;
    throw fault(
      "NOT_FOUND",
      `image "${reference}" is not in namespace "${from.namespace}" of the containerd on ${socket}`,
      { cause: error },
    );
  }
}

interface Work {
  readonly from: ImageStore;
  readonly session: Session;
  readonly flags: CopyFlags;
  readonly io: CliIo;
}

/** One image that cannot be copied keeps no other. */
async function copyAll(
  { from, session, flags, io }: Work,
  records: readonly ImageRecord[],
): Promise<void> {
  const { copyImage } = await import("./copy-image.ts");
  const { endLeftLeases, openCopyLease } = await import("./copy-lease.ts");
  const copied: { readonly name: string; readonly outcome: Copied }[] = [];
  const { force, unpack } = flags;
  let failed = 0;
  const lease = await openCopyLease(session);
  const to: ImageStore = { ...session, scoped: lease.call };
  for (const record of records) {
    try {
      const outcome = await (async () => {
        using view = openProgress(flags, io);
        const onSteps = view.update.bind(view);
        return await copyImage({ from, to, lease, onSteps, force, unpack }, record);
      })();
      copied.push({ name: record.name, outcome });
      if (!session.json) io.out(printable(`${outcome} ${record.name}\n`));
    } catch (error) {
      session.call.signal.throwIfAborted();
      if (!isFault(error) || error instanceof Unconnected) throw error;
      failed += 1;
      io.error(`berth: ${printableLine(`${record.name}: ${error.message}`)}\n`);
    }
  }
  // Where it fails for all, the lease stays until it ends: the same work goes on where it stood.
  await lease[Symbol.asyncDispose]().catch(() => {});
  if (failed === 0) await endLeftLeases(session).catch(() => {});
  if (session.json) io.out(jsonOf({ images: copied }));
  if (failed > 0) throw fault("UNKNOWN", `${failed} of ${records.length} names were not copied`);
}
