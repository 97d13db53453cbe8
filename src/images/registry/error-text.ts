// SPDX-License-Identifier: Apache-2.0
import { isRecord } from "../../base/is-record.ts";
import { shortened } from "../../base/shortened.ts";
import { fieldOf, fieldsOf } from "../manifest/go-json.ts";

const mostErrors = 3;
const mostChars = 400;

/**
 * What the body of an error answer says, in one line: a registry's or token server's errors as `CODE: message`, the
 * title of an HTML page, the first line of a text. "" for anything else, and for a body that holds one of `secrets`:
 * some servers answer what they were sent.
 */
export function errorText(body: Buffer, secrets: readonly string[] = []): string {
  const text = body.toString("utf8").trim();
  const said = text.startsWith("{") || text.startsWith("[") ? inJson(text) : inText(text);
  const plain = said.replace(/\s+/g, " ").trim();
  // Before anything is cut off: a part of a secret is secret too.
  const all = [text, said, plain];
  const isSecret = secrets.some((one) => one !== "" && all.some((form) => form.includes(one)));
  // Not up to its end, which may be where the reading ended, in the middle of a secret.
  return isSecret ? "" : printable(shortened(plain.slice(0, 4 * mostChars), mostChars));
}

function inJson(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "";
  }
  const errors = fieldOf(value, "errors");
  const list = Array.isArray(errors) ? errors.slice(0, mostErrors).map(oneError) : [];
  return list.filter((one) => one !== "").join("; ") || oneError(value);
}

/** OCI's `code` and `message`, OAuth's `error` and `error_description`, and what else is in use. */
function oneError(value: unknown): string {
  if (typeof value === "string") return value;
  const fields = fieldsOf(value, names);
  const inner = fields["error"];
  if (isRecord(inner)) return oneError(inner);
  const code = textOf(fields["code"]) || textOf(inner);
  const message =
    textOf(fields["message"]) ||
    textOf(fields["error_description"]) ||
    textOf(fields["detail"]) ||
    textOf(fields["details"]) ||
    textOf(fields["reason"]);
  return code !== "" && message !== "" && code !== message
    ? `${code}: ${message}`
    : message || code;
}

const names = [
  "code",
  "message",
  "error",
  "error_description",
  "detail",
  "details",
  "reason",
] as const;

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function inText(text: string): string {
  // What is compressed or of another kind is for nobody to read.
  if (/(?!\s)\p{Cc}|\ufffd/u.test(text.slice(0, 1024))) return "";
  if (!text.startsWith("<")) return text.split("\n", 1)[0] ?? "";
  const title = between(text, "title") || between(text, "h1");
  return title === "" ? "an HTML page" : `an HTML page, "${title}"`;
}

/** What stands in the first element of a name, without what is marked up in there. */
function between(html: string, name: string): string {
  const lower = html.toLowerCase();
  const start = lower.indexOf(`<${name}`);
  const from = start < 0 ? -1 : lower.indexOf(">", start);
  const end = from < 0 ? -1 : lower.indexOf(`</${name}`, from);
  if (end < 0) return "";
  return html
    .slice(from + 1, Math.min(end, from + 1 + mostChars))
    .replace(/<[^<>]*>/g, " ")
    .trim();
}

/** It goes to logs and terminals. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, "?");
}
