// SPDX-License-Identifier: Apache-2.0
import { type DockerArchive, parseDockerArchive } from "./docker-archive.ts";
import {
  type ImageDocument,
  type Index,
  type Manifest,
  parseImageDocument,
  parseIndex,
  parseManifest,
} from "./documents.ts";
import { manifestTypeOf } from "./media-types.ts";

/** What each kind of document is read as. */
export interface Documents {
  readonly manifest: Index | Manifest;
  /** The type of a manifest or index whose server may have named none. */
  readonly type: string;
  /** `index.json` of an OCI layout. */
  readonly layout: Index;
  readonly image: ImageDocument;
  /** `manifest.json` of what `docker save` writes. */
  readonly docker: DockerArchive;
}

export type DocumentKind = keyof Documents;

export interface DocumentTask<K extends DocumentKind = DocumentKind> {
  readonly kind: K;
  readonly bytes: Uint8Array;
  /** What errors call it. */
  readonly what: string;
  /** The type in its descriptor; "" when that has none. */
  readonly mediaType: string;
}

const parsers: {
  readonly [K in DocumentKind]: (
    bytes: Uint8Array,
    what: string,
    mediaType: string,
  ) => Documents[K];
} = {
  manifest: parseManifest,
  type: (bytes, _what, stated) => manifestTypeOf(stated, bytes),
  layout: parseIndex,
  image: parseImageDocument,
  docker: parseDockerArchive,
};

/** Reads a document in this thread. The result is small, whatever the document is. */
export function parseDocument<K extends DocumentKind>(task: DocumentTask<K>): Documents[K] {
  return parsers[task.kind](task.bytes, task.what, task.mediaType);
}
