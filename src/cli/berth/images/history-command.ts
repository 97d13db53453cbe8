// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { isFault } from "../../../base/errors.ts";
import { isRecord } from "../../../base/is-record.ts";
import type { CliIo } from "../../cli-io.ts";
import { type Session, withNamespaceFlag, withSession } from "../call-options.ts";
import { age, bytes, type Column } from "../table.ts";

const timeoutMs = 30_000;

/** One step of the making of an image, as its document tells it. */
interface Step {
  /** RFC 3339; "" when it is not told. */
  readonly created: string;
  readonly createdBy: string;
  readonly comment: string;
  /** Bytes of the unpacked layer; 0 for a step that made none, undefined when the layer is not unpacked. */
  readonly size: number | undefined;
}

export function addHistoryCommand(image: Command, io: CliIo): void {
  withNamespaceFlag(image.command("history <reference>"))
    .description("list how an image was made, the last step first, with the sizes of its layers")
    .option("--snapshotter <name>", "where its layers are unpacked", "overlayfs")
    .option("--no-trunc", "whole commands")
    .action((reference: string, flags: { snapshotter: string; trunc: boolean }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const steps = await stepsOf(session, reference, flags.snapshotter);
        session.showTable(steps, columnsOf(flags.trunc));
      }),
    );
}

async function stepsOf(
  session: Session,
  reference: string,
  snapshotter: string,
): Promise<readonly Step[]> {
  const { findRecord, readBlob, readManifest } = await import("./image-record.ts");
  const { parseImageDocument } = await import("../../../images/manifest/documents.ts");
  const { chainIds } = await import("../../../images/chain-id.ts");
  const { name, target } = await findRecord(session, reference);
  const { config } = await readManifest(session, name, target.digest);
  const document = await readBlob(session, config.digest);
  const chain = chainIds(parseImageDocument(document, `the config of image "${name}"`).diffIds);
  const sizes = await Promise.all(chain.map((key) => sizeOf(session, snapshotter, key)));
  const layers = sizes.values();
  const told = historyOf(document).map((entry): Step => {
    const isEmpty = entry["empty_layer"] === true;
    return {
      created: textOf(entry["created"]),
      createdBy: textOf(entry["created_by"]),
      comment: textOf(entry["comment"]),
      size: isEmpty ? 0 : layers.next().value,
    };
  });
  // A document may tell less than there is.
  const untold = [...layers].map(
    (size): Step => ({ created: "", createdBy: "", comment: "", size }),
  );
  return [...told, ...untold].toReversed();
}

function historyOf(document: Buffer): readonly Readonly<Record<string, unknown>>[] {
  const value: unknown = JSON.parse(document.toString());
  const history = isRecord(value) ? value["history"] : undefined;
  return Array.isArray(history) ? history.filter(isRecord) : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

async function sizeOf(
  session: Session,
  snapshotter: string,
  key: string,
): Promise<number | undefined> {
  const snapshots = session.client("containerd.services.snapshots.v1.Snapshots");
  try {
    return Number((await snapshots.Usage({ snapshotter, key }, session.scoped)).size);
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

const shownChars = 60;

function columnsOf(isShort: boolean): readonly Column<Step>[] {
  const shortened = (text: string): string =>
    isShort && text.length > shownChars ? `${text.slice(0, shownChars - 1)}…` : text;
  return [
    { title: "CREATED", value: ({ created }) => ageOf(created) },
    { title: "CREATED BY", value: ({ createdBy }) => shortened(createdBy) },
    { title: "SIZE", value: ({ size }) => (size === undefined ? "-" : bytes(size)) },
    { title: "COMMENT", value: ({ comment }) => shortened(comment) },
  ];
}

function ageOf(created: string): string {
  const then = Date.parse(created);
  return Number.isNaN(then) ? "-" : `${age(Date.now() - then)} ago`;
}
