// SPDX-License-Identifier: Apache-2.0

/** The peer broke the protocol or a limit: its connection is to be closed. Never leaves src/streaming. */
export class SpdyError extends Error {
  override readonly name = "SpdyError";
}
