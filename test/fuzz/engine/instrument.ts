// SPDX-License-Identifier: Apache-2.0
import { parseSync } from "oxc-parser";

/** A source file with calls of coverage.ts in it, and what it was given of the numbers. */
export interface Instrumented {
  readonly code: string;
  readonly places: number;
  readonly comparisons: number;
  /** Short texts that stand in the file: what a parser looks for is among them. */
  readonly words: readonly string[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

/** Names that no file of ours has. */
const hit = "__fuzz_hit";
const same = "__fuzz_same";
const order = "__fuzz_order";

const maxWordChars = 60;

/**
 * Puts a call where JavaScript code branches: into functions, branches, loops, cases, the right sides of `&&`,
 * `||` and `??`; and around comparisons. Lines stay as they are. `place` and `comparison` are the first free
 * numbers, `runtime` is the URL of coverage.ts.
 */
export function instrument(
  code: string,
  { place, comparison, runtime }: { place: number; comparison: number; runtime: string },
): Instrumented {
  const { program, errors } = parseSync("file.js", code, { sourceType: "module", lang: "js" });
  if (errors.length > 0) throw new Error(`cannot be parsed: ${errors[0]?.message}`);
  const edits = new Edits(code);
  const words = new Set<string>();
  let places = 0;
  let comparisons = 0;
  const hitCall = (): string => `${hit}(${place + places++})`;

  const block = (node: Node): void => edits.before(node.start + 1, `${hitCall()};`);
  const statement = (node: Node): void => {
    if (node.type === "BlockStatement") return block(node);
    edits.before(node.start, `{${hitCall()};`);
    edits.after(node.end, "}");
  };
  const expression = (node: Node): void => {
    edits.before(node.start, `(${hitCall()},`);
    edits.after(node.end, ")");
  };
  const visitors: Readonly<Record<string, (node: Node) => void>> = {
    FunctionDeclaration: (node) => functionBody(node),
    FunctionExpression: (node) => functionBody(node),
    ArrowFunctionExpression: (node) => functionBody(node),
    IfStatement: (node) => {
      // It ends where its branch ends, and comes after it.
      if (!isNode(node["alternate"])) edits.after(node.end, ` else {${hitCall()};}`);
      statement(node["consequent"] as Node);
      if (isNode(node["alternate"])) statement(node["alternate"]);
    },
    ForStatement: (node) => statement(node["body"] as Node),
    ForInStatement: (node) => statement(node["body"] as Node),
    ForOfStatement: (node) => statement(node["body"] as Node),
    WhileStatement: (node) => statement(node["body"] as Node),
    DoWhileStatement: (node) => statement(node["body"] as Node),
    CatchClause: (node) => block(node["body"] as Node),
    SwitchCase: (node) => {
      const [first] = node["consequent"] as Node[];
      if (first !== undefined) edits.before(first.start, `${hitCall()};`);
    },
    ConditionalExpression: (node) => {
      expression(node["consequent"] as Node);
      expression(node["alternate"] as Node);
    },
    LogicalExpression: (node) => expression(node["right"] as Node),
    BinaryExpression: (node) => {
      const left = node["left"] as Node;
      const right = node["right"] as Node;
      const operator = String(node["operator"]);
      if (operator === "===" || operator === "!==") {
        const not = operator === "!==" ? "!" : "";
        edits.before(left.start, `${not}${same}(${comparison + comparisons++},`);
        edits.replace(left.end, right.start, operator, ",");
        edits.after(right.end, ")");
      } else if (["<", "<=", ">", ">="].includes(operator) && isPlain(right)) {
        edits.before(left.start, `${order}(${comparison + comparisons++},`);
        edits.after(left.end, `,${code.slice(right.start, right.end)})`);
      }
    },
    Literal: (node) => {
      const { value } = node;
      if (typeof value !== "string" || value.length === 0 || value.length > maxWordChars) return;
      words.add(value);
    },
  };
  const functionBody = (node: Node): void => {
    const body = node["body"];
    if (!isNode(body)) return;
    if (body.type === "BlockStatement") block(body);
    else expression(body);
  };

  walk(program as unknown as Node, (node) => visitors[node.type]?.(node));
  const head = `import{hit as ${hit},same as ${same},order as ${order}}from${JSON.stringify(runtime)};`;
  return { code: head + edits.done(), places, comparisons, words: [...words] };
}

/** What may be evaluated twice. */
function isPlain({ type }: Node): boolean {
  return type === "Identifier" || type === "Literal";
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

/** Parents before their children. */
function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  // A directive, and what is imported, must stay a plain literal.
  if (node.type === "ImportDeclaration" || node.type.startsWith("Export")) {
    if (isNode(node["declaration"])) walk(node["declaration"], visit);
    return;
  }
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) {
      for (const item of value as unknown[]) if (isNode(item)) walk(item, visit);
    } else if (isNode(value)) walk(value, visit);
  }
}

/** Insertions into a text. At one place, what is put after a node comes before what is put before the next. */
class Edits {
  readonly #text: string;
  readonly #before = new Map<number, string>();
  readonly #after = new Map<number, string>();
  readonly #replaced = new Map<number, { readonly end: number; readonly text: string }>();

  constructor(text: string) {
    this.#text = text;
  }

  /** Of several at one place, the outer node's comes first: it was visited first. */
  before(at: number, text: string): void {
    this.#before.set(at, (this.#before.get(at) ?? "") + text);
  }

  /** Of several at one place, the inner node's comes first. */
  after(at: number, text: string): void {
    this.#after.set(at, text + (this.#after.get(at) ?? ""));
  }

  /** Replaces `old`, which stands between two nodes. */
  replace(from: number, to: number, old: string, text: string): void {
    const at = this.#text.indexOf(old, from);
    if (at < 0 || at + old.length > to) throw new Error(`no ${old} between ${from} and ${to}`);
    this.#replaced.set(at, { end: at + old.length, text });
  }

  done(): string {
    const places = [...this.#before.keys(), ...this.#after.keys(), ...this.#replaced.keys()];
    let written = "";
    let done = 0;
    for (const at of new Set(places.toSorted((a, b) => a - b))) {
      written += this.#text.slice(done, at);
      written += (this.#after.get(at) ?? "") + (this.#before.get(at) ?? "");
      const replaced = this.#replaced.get(at);
      written += replaced?.text ?? "";
      done = replaced?.end ?? at;
    }
    return written + this.#text.slice(done);
  }
}
