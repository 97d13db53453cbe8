// SPDX-License-Identifier: Apache-2.0

/** One member, as close to the bytes as tests of hostile archives need. Names are "latin1". */
export interface RawMember {
  readonly name: string;
  /** The type flag; "0" when left out. */
  readonly flag?: string;
  readonly link?: string;
  readonly content?: Buffer | string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly major?: number;
  readonly minor?: number;
  /** Records of a PAX header before it. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** What the header claims instead of the content's length. */
  readonly size?: number;
  /** Changes the finished header block; the checksum is made after it. */
  readonly patch?: (header: Buffer) => void;
}

/** A ustar archive of the members, with its trailer. */
export function tarBytes(members: readonly RawMember[]): Buffer {
  return Buffer.concat([...members.flatMap(memberBlocks), Buffer.alloc(1024)]);
}

function memberBlocks(member: RawMember): Buffer[] {
  const content = Buffer.from(member.content ?? "");
  const blocks: Buffer[] = [];
  if (member.pax) {
    const body = paxBytes(Object.entries(member.pax));
    blocks.push(header({ name: "pax", flag: "x", size: body.length }), padded(body));
  }
  blocks.push(header({ ...member, size: member.size ?? content.length }), padded(content));
  return blocks;
}

/** The body of a PAX header; keys may repeat. */
export function paxBytes(records: readonly (readonly [string, string | Buffer])[]): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.concat([
        Buffer.from(` ${key}=`, "latin1"),
        Buffer.from(value),
        Buffer.from("\n"),
      ]);
      let length = rest.length + String(rest.length).length;
      if (String(length).length + rest.length !== length) length += 1;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}

function header(member: RawMember): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, "0"), at, length - 1, "latin1");
  };
  block.write(member.name, 0, 100, "latin1");
  octal(member.mode ?? 0o755, 100, 8);
  octal(member.uid ?? 0, 108, 8);
  octal(member.gid ?? 0, 116, 8);
  octal(member.size ?? 0, 124, 12);
  octal(member.mtime ?? 0, 136, 12);
  block.write(member.flag ?? "0", 156, 1, "latin1");
  block.write(member.link ?? "", 157, 100, "latin1");
  block.write("ustar\u000000", 257, 8, "latin1");
  octal(member.major ?? 0, 329, 8);
  octal(member.minor ?? 0, 337, 8);
  member.patch?.(block);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
  return block;
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}
