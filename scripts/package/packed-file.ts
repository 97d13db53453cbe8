// SPDX-License-Identifier: Apache-2.0

/** A file of a package, or a symbolic link. Its owner is root, and its folders are made with it. */
export interface PackedFile {
  /** From the root of the file system, without a slash in front. */
  readonly path: string;
  /** Of the file; 0644 when left out. */
  readonly mode?: number;
  readonly content: PackedContent;
}

/** Bytes, a file of this machine to copy, or where a symbolic link leads. */
export type PackedContent =
  | Uint8Array
  | string
  | { readonly from: string }
  | { readonly linkTo: string };
