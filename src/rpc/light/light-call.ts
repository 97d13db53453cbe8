// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../../base/errors.ts";
import { type Http2Connection, type StreamListener, windowBytes } from "../http2/connection.ts";
import { faultOfStatus } from "../status.ts";

const headBytes = 5;

type Fields = readonly (readonly [name: string, value: string])[];

/** One call of gRPC's: encoded messages there, encoded messages back, and a status. */
export class LightCall implements StreamListener {
  readonly #connection: Http2Connection;
  readonly #stream: ReturnType<Http2Connection["open"]>;
  readonly #maxBytes: number;
  readonly #messages: Buffer[] = [];
  #parts: Buffer[] = [];
  #length = 0;
  /** What the messages that nobody has taken yet took of the window. */
  #owed = 0;
  #end: { readonly failure: RuntimeFault | undefined } | undefined;
  #wake: (() => void) | undefined;

  constructor(connection: Http2Connection, fields: Fields, maxBytes: number) {
    this.#connection = connection;
    this.#maxBytes = maxBytes;
    this.#stream = connection.open(fields, this);
  }

  async send(message: Buffer, isLast: boolean): Promise<void> {
    if (message.length > this.#maxBytes) {
      const what = `request is too large: ${message.length} bytes, the limit is ${this.#maxBytes}`;
      throw fault("RESOURCE_EXHAUSTED", what);
    }
    const head = Buffer.alloc(headBytes);
    head.writeUInt32BE(message.length, 1);
    await this.#connection.send(this.#stream, Buffer.concat([head, message]), isLast);
  }

  /** Nothing more is sent. */
  async finish(): Promise<void> {
    await this.#connection.send(this.#stream, Buffer.alloc(0), true);
  }

  /** The next message; undefined at the end. Rejects with what the call failed with. One reader at a time. */
  async next(): Promise<Buffer | undefined> {
    while (this.#messages.length === 0 && this.#end === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const message = this.#messages.shift();
    if (message !== undefined) this.#giveBack();
    else if (this.#end?.failure !== undefined) throw this.#end.failure;
    return message;
  }

  /** Ends the call, if it is not over: the peer hears that nobody wants its answer. */
  cancel(failure: RuntimeFault): void {
    if (this.#end !== undefined) return;
    this.#connection.cancel(this.#stream);
    this.#finish(failure);
  }

  headers(fields: ReadonlyMap<string, string>, isEnd: boolean): void {
    const status = fields.get("grpc-status");
    const http = fields.get(":status") ?? "200";
    if (http !== "200" && status === undefined) {
      this.cancel(fault("UNKNOWN", `the peer answered with HTTP status ${http}`));
    } else if (isEnd) this.#finish(failureOf(status, fields.get("grpc-message") ?? ""));
  }

  data(bytes: Buffer, isEnd: boolean, taken: number): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    this.#owed += taken;
    try {
      for (let one = this.#cut(); one !== undefined; one = this.#cut()) this.#messages.push(one);
    } catch (error) {
      return this.cancel(error as RuntimeFault);
    }
    if (isEnd) this.#finish(failureOf(undefined, ""));
    else this.#giveBack();
    this.#wake?.();
  }

  failed(error: RuntimeFault): void {
    this.#finish(error);
  }

  #finish(failure: RuntimeFault | undefined): void {
    const isCut = failure === undefined && this.#length > 0;
    const found = isCut ? fault("INTERNAL", "the peer's answer is cut off") : failure;
    this.#end ??= { failure: found };
    this.#wake?.();
  }

  /** While messages wait the peer may only fill the window that is left. */
  #giveBack(): void {
    if (this.#messages.length > 0 || this.#owed < windowBytes / 2) return;
    this.#connection.allow(this.#stream, this.#owed);
    this.#owed = 0;
  }

  #cut(): Buffer | undefined {
    if (this.#length < headBytes) return undefined;
    const head = this.#gather(headBytes);
    const length = head.readUInt32BE(1);
    if (head[0] !== 0) throw fault("INTERNAL", "the peer's answer is compressed, unasked");
    if (length > this.#maxBytes) {
      const what = `answer is too large: ${length} bytes, the limit is ${this.#maxBytes}`;
      throw fault("RESOURCE_EXHAUSTED", what);
    }
    if (this.#length < headBytes + length) return undefined;
    const whole = this.#gather(headBytes + length);
    const rest = whole.subarray(headBytes + length);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    return whole.subarray(headBytes, headBytes + length);
  }

  /** At least so many bytes in one piece: a message's head, or all that there are once one is complete. */
  #gather(least: number): Buffer {
    const [first, ...others] = this.#parts;
    const isEnough = least === headBytes || others.length === 0;
    if (first !== undefined && first.length >= least && isEnough) return first;
    const whole = Buffer.concat(this.#parts);
    this.#parts = [whole];
    return whole;
  }
}

/** What a call's end means: its status and, percent-encoded, its text. */
function failureOf(status: string | undefined, text: string): RuntimeFault | undefined {
  if (status === "0") return undefined;
  if (status === undefined || !/^\d{1,4}$/.test(status)) {
    return fault("UNKNOWN", "the peer ended the call without a status");
  }
  return faultOfStatus({ code: Number(status), message: decoded(text) });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
