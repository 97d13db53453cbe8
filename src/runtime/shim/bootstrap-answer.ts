// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { codec } from "../../rpc/codec.ts";

/** Where a shim serves and what it speaks. Kept in the bundle as bootstrap.json. */
export interface Bootstrap {
  /** Version of the task API: 2 or 3. A hint only, see connectShim. */
  readonly version: number;
  /** `unix:///path` as the shim gave it. */
  readonly address: string;
  readonly protocol: string;
}

const newestVersion = 3;
/** sockaddr_un holds 108 bytes, the terminating zero among them; Node connects to what fits of a longer one. */
const maxPathBytes = 107;

/**
 * Reads what a shim's `start` wrote on stdout: a protobuf BootstrapResult (2.3 and later), JSON
 * (2.0 to 2.2), or the bare address (1.x, others). UNIMPLEMENTED for what we do not speak.
 */
export function parseBootstrapAnswer(stdout: Buffer): Bootstrap {
  const answer = fromProtobuf(stdout) ?? fromJson(stdout) ?? fromAddress(stdout);
  if (answer === undefined) {
    const shown = stdout.subarray(0, 200).toString("utf8");
    throw fault("INTERNAL", `shim answered no address but ${JSON.stringify(shown)}`);
  }
  if (!(answer.version >= 0 && answer.version <= newestVersion)) {
    throw fault("UNIMPLEMENTED", `shim speaks version ${answer.version} of the task API`);
  }
  if (answer.protocol !== "ttrpc") {
    throw fault(
      "UNIMPLEMENTED",
      `shim speaks ${JSON.stringify(answer.protocol.slice(0, 200))}, only ttrpc is supported`,
    );
  }
  return answer;
}

/** The path in a shim's address. INVALID_ARGUMENT for anything but a unix socket with a full path. */
export function socketPathOf(address: string): string {
  const path = address.startsWith("unix://") ? address.slice("unix://".length) : address;
  const isOne =
    path.startsWith("/") && !path.includes("\0") && Buffer.byteLength(path) <= maxPathBytes;
  if (isOne) return path;
  const shown = JSON.stringify(address.slice(0, 200));
  throw fault("INVALID_ARGUMENT", `shim address ${shown} is no unix socket`);
}

function fromProtobuf(stdout: Buffer): Bootstrap | undefined {
  if (stdout[0] !== 0x08) return undefined; // field 1, version, always comes first
  try {
    const { version, address, protocol } = codec(
      "containerd.runtime.bootstrap.v1.BootstrapResult",
    ).decode(stdout);
    return looksLikeAddress(address)
      ? { version, address, protocol: protocol || "ttrpc" }
      : undefined;
  } catch {
    return undefined;
  }
}

function fromJson(stdout: Buffer): Bootstrap | undefined {
  let value: unknown;
  try {
    value = JSON.parse(stdout.toString("utf8"));
  } catch {
    return undefined;
  }
  if (!isRecord(value) || typeof value["address"] !== "string") return undefined;
  const version = value["version"];
  const protocol = value["protocol"];
  return {
    version: typeof version === "number" && Number.isInteger(version) ? version : 2,
    address: value["address"],
    protocol: typeof protocol === "string" && protocol !== "" ? protocol : "ttrpc",
  };
}

// The last line: some shims greet before they answer.
function fromAddress(stdout: Buffer): Bootstrap | undefined {
  const line = stdout.toString("utf8").trim().split("\n").at(-1)?.trim() ?? "";
  return looksLikeAddress(line) ? { version: 2, address: line, protocol: "ttrpc" } : undefined;
}

function looksLikeAddress(text: string): boolean {
  return /^(unix|vsock|hvsock):\/\/\S/.test(text) || text.startsWith("/");
}
