// SPDX-License-Identifier: Apache-2.0

/** The peer broke the protocol: its connection is closed with `closeCode`. Never leaves src/streaming. */
export class WebSocketError extends Error {
  override readonly name = "WebSocketError";
  readonly closeCode: number;

  constructor(closeCode: number, message: string) {
    super(message);
    this.closeCode = closeCode;
  }
}
