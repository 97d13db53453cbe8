// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../../../base/errors.ts";
import { mapAtOnce } from "../../../base/map-at-once.ts";
import { chainIds } from "../../../images/chain-id.ts";
import { parseImageDocument } from "../../../images/manifest/documents.ts";
import { fieldOf, fieldsOf, parseJson } from "../../../images/manifest/go-json.ts";
import type { Session } from "../call-options.ts";
import { findRecord, readBlob, readManifest } from "./image-record.ts";

const atOnce = 8;
const names = ["created", "created_by", "comment", "empty_layer"] as const;

type Told = Readonly<Record<string, unknown>>;

/** One step of the making of an image, as its document tells it. */
export interface Step {
  /** RFC 3339; "" when it is not told. */
  readonly created: string;
  readonly createdBy: string;
  readonly comment: string;
  /** Bytes of the unpacked layer; 0 for a step that made none, undefined when the layer is not unpacked. */
  readonly size: number | undefined;
}

/** The last step first. */
export async function stepsOf(
  session: Session,
  reference: string,
  snapshotter: string,
): Promise<readonly Step[]> {
  const { name, target } = await findRecord(session, reference);
  const { config } = await readManifest(session, name, target.digest);
  const document = await readBlob(session, config.digest);
  const what = `the config of image "${name}"`;
  const chain = chainIds(parseImageDocument(document, what).diffIds);
  const sizes = await mapAtOnce(chain, atOnce, (key) => sizeOf(session, snapshotter, key));
  const layers = sizes.values();
  const steps = historyOf(document, what).map((entry): Step => {
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
  return [...steps, ...untold].toReversed();
}

function historyOf(document: Buffer, what: string): readonly Told[] {
  const history = fieldOf(parseJson(document, what), "history");
  return Array.isArray(history) ? history.map((entry) => fieldsOf(entry, names)) : [];
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
