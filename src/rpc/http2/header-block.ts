// SPDX-License-Identifier: Apache-2.0
import { decodeHuffman } from "./huffman.ts";

/** HPACK's static table (RFC 7541, appendix A): a name, and after "=" its value. */
const staticTable = `:authority
:method=GET
:method=POST
:path=/
:path=/index.html
:scheme=http
:scheme=https
:status=200
:status=204
:status=206
:status=304
:status=400
:status=404
:status=500
accept-charset
accept-encoding=gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

let entries: readonly (readonly [name: string, value: string])[] | undefined;

function entry(index: number): readonly [name: string, value: string] {
  entries ??= staticTable.split("\n").map((line) => {
    const [name = "", value = ""] = line.split("=");
    return [name, value];
  });
  const found = entries[index - 1];
  if (found === undefined) throw new Error(`a header of a table that is empty: ${index}`);
  return found;
}

/** Header fields for a peer, each in full: nothing is kept of them on either side. */
export function encodeHeaders(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const parts = fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]);
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([prefixed(bytes.length), bytes]);
}

/** A number with a prefix of seven bits. */
function prefixed(value: number): Buffer {
  if (value < 127) return Buffer.of(value);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/**
 * The header fields of a peer that was told to keep no table of them (SETTINGS_HEADER_TABLE_SIZE 0). Throws over what is
 * no such block.
 */
export function decodeHeaders(block: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  const at = { block, position: 0 };
  while (at.position < block.length) {
    const first = block[at.position] ?? 0;
    if (first >= 0x80) {
      const [name, value] = entry(number(at, 7));
      add(found, name, value);
    } else if (first >= 0x20 && first < 0x40) {
      if (number(at, 5) !== 0) throw new Error("a table of headers larger than allowed");
    } else {
      const index = number(at, first >= 0x40 ? 6 : 4);
      const name = index === 0 ? string(at) : entry(index)[0];
      add(found, name, string(at));
    }
  }
  return found;
}

/** Of a field that comes twice HTTP makes a list. */
function add(found: Map<string, string>, name: string, value: string): void {
  const before = found.get(name);
  found.set(name, before === undefined ? value : `${before},${value}`);
}

interface Place {
  readonly block: Buffer;
  position: number;
}

function number(at: Place, prefixBits: number): number {
  const most = 2 ** prefixBits - 1;
  let value = byte(at) & most;
  if (value < most) return value;
  for (let shift = 0; ; shift += 7) {
    if (shift > 21) throw new Error("a header's length is too large");
    const next = byte(at);
    value += (next & 127) * 2 ** shift;
    if (next < 128) return value;
  }
}

function string(at: Place): string {
  const isCoded = ((at.block[at.position] ?? 0) & 0x80) !== 0;
  const length = number(at, 7);
  const end = at.position + length;
  if (end > at.block.length) throw new Error("a header is cut off");
  const bytes = at.block.subarray(at.position, end);
  at.position = end;
  return isCoded ? decodeHuffman(bytes) : bytes.toString("latin1");
}

function byte(at: Place): number {
  const value = at.block[at.position];
  if (value === undefined) throw new Error("headers are cut off");
  at.position += 1;
  return value;
}
