// SPDX-License-Identifier: Apache-2.0
import { globSync } from "node:fs";
import path from "node:path";
import protobuf from "protobufjs";

/** What one page of `test/facts` says, by full names: a service's methods, a message's fields, an enum's values. */
type Facts = ReadonlyMap<string, readonly string[]>;

/**
 * How `.proto` files differ from pages of facts, one sentence each: what a page has and they lack, and what they add to
 * a service, a message or an enum of a page. Services, messages and enums that no page has may be there.
 */
export function differences(root: protobuf.Root, pages: readonly string[]): string[] {
  const found: string[] = [];
  for (const [name, expected] of pages.flatMap((page) => [...factsOf(page)])) {
    const [kind = "", fullName = ""] = name.split(" ");
    const present = linesOf(root.lookup(`.${fullName}`), kind);
    if (present === undefined) {
      found.push(`${name} is missing`);
      continue;
    }
    const missing = expected.filter((line) => !present.includes(line));
    const surplus = present.filter((line) => !expected.includes(line));
    found.push(...missing.map((line) => `${name} lacks: ${line}`));
    found.push(...surplus.map((line) => `${name} has, and should not: ${line}`));
  }
  return found;
}

/** All files below `folder`, as one tree, with the names as they are written. */
export function loadProtos(folder: string): protobuf.Root {
  const files = globSync("**/*.proto", { cwd: folder }).toSorted();
  const root = new protobuf.Root();
  const bundled = root.resolvePath.bind(root);
  // An import is told from the top of its own tree, which is somewhere below `folder`.
  root.resolvePath = (_origin, target) => {
    const own = files.find((file) => file === target || file.endsWith(`/${target}`));
    return own === undefined ? bundled("", target) : path.join(folder, own);
  };
  root.loadSync(files, { keepCase: true });
  root.resolveAll();
  return root;
}

/**
 * A page: `service NAME`, `message NAME` or `enum NAME`, then an indented line for each method, field or value. Throws
 * for any other line, so that nothing on a page goes unread.
 */
function factsOf(page: string): Facts {
  const facts = new Map<string, string[]>();
  let lines: string[] | undefined;
  for (const line of page.split("\n")) {
    if (/^(service|message|enum) \S+$/.test(line)) {
      lines = facts.get(line) ?? [];
      facts.set(line, lines);
    } else if (lines !== undefined && /^ {2}\S/.test(line)) lines.push(line.trim());
    else if (line !== "") throw new Error(`no fact: ${line}`);
  }
  if (facts.size === 0) throw new Error("a page without facts");
  return facts;
}

/** What there is, in the words of a page; undefined for something of another kind. */
function linesOf(node: protobuf.ReflectionObject | null, kind: string): string[] | undefined {
  if (node instanceof protobuf.Enum && kind === "enum") {
    return Object.entries(node.values).map(([name, value]) => `${value} ${name}`);
  }
  if (node instanceof protobuf.Service && kind === "service") {
    return node.methodsArray.map(methodLine);
  }
  if (node instanceof protobuf.Type && kind === "message") return node.fieldsArray.map(fieldLine);
  return undefined;
}

function methodLine(method: protobuf.Method): string {
  const request = plainName(method.resolvedRequestType);
  const response = plainName(method.resolvedResponseType);
  const stream = (is: boolean | undefined): string => (is === true ? "stream " : "");
  return `rpc ${method.name}(${stream(method.requestStream)}${request}) returns (${stream(method.responseStream)}${response})`;
}

function fieldLine(field: protobuf.Field): string {
  const type = field.resolvedType === null ? field.type : plainName(field.resolvedType);
  const map = field instanceof protobuf.MapField ? `map<${field.keyType},${type}>` : undefined;
  const isOptional = field.partOf?.isProto3Optional === true;
  const label = field.repeated ? "repeated " : isOptional ? "optional " : "";
  return `${field.id} ${field.name} ${map ?? `${label}${type}`}`;
}

function plainName(node: protobuf.ReflectionObject | null): string {
  return node?.fullName.replace(/^\./, "") ?? "";
}
