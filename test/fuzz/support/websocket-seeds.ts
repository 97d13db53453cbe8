// SPDX-License-Identifier: Apache-2.0

export interface FrameShape {
  readonly opcode?: number;
  readonly fin?: boolean;
  /** Four bytes. */
  readonly mask?: string;
}

/** A client's frame. */
export function clientFrame(
  payload: string | Buffer,
  { opcode = 2, fin = true, mask = "mask" }: FrameShape = {},
): Buffer {
  const bytes = Buffer.from(payload as string);
  const { length } = bytes;
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  header[0] = (fin ? 0x80 : 0) + opcode;
  header[1] = 0x80 + (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (header.length === 4) header.writeUInt16BE(length, 2);
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2);
  const key = Buffer.from(mask, "latin1");
  const masked = bytes.map((byte, index) => byte ^ (key[index % 4] ?? 0));
  return Buffer.concat([header, key, masked]);
}
