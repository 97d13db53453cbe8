// SPDX-License-Identifier: Apache-2.0
import protobuf from "protobufjs/light.js";
import { below, type MethodNode, type Node } from "./light/light-types.ts";

/** What a method of a service takes and answers, by full names. */
export interface MethodShape {
  readonly name: string;
  readonly request: string;
  readonly response: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

/** Twice what the longest of ours has. */
const longestName = 256;

/**
 * The messages of one descriptor as protobufjs has them, each made when it is first asked for, with those that it is made
 * of: a thousand of them take 50 ms, and a daemon has use for a third. Names are looked for as the language says, the
 * innermost first; protobufjs' own search finds parts of names too, and keeps each that it does not find.
 */
export class TypeTree {
  readonly #descriptor: Node;
  readonly #root = new protobuf.Root();
  /** Full names of what is in the tree: messages and enums right in a package. */
  readonly #made = new Set<string>();

  constructor(descriptor: protobuf.INamespace) {
    this.#descriptor = descriptor as Node;
  }

  /** By its full name only; undefined when there is no such message. */
  type(name: string): protobuf.Type | undefined {
    const node = name.length > longestName ? undefined : this.#node(name);
    if (node?.fields === undefined) return undefined;
    this.#make(this.#outermost(name));
    let at: protobuf.ReflectionObject | null = this.#root;
    for (const part of name.split(".")) at = at instanceof protobuf.Namespace ? at.get(part) : null;
    return at instanceof protobuf.Type ? at : undefined;
  }

  /** The methods of a service, in the order of its .proto file. */
  methods(service: string): readonly MethodShape[] {
    const methods = this.#node(service)?.methods;
    if (methods === undefined) throw new TypeError(`no such service: ${service}`);
    return Object.entries(methods).map(([name, method]) => this.#shape(service, name, method));
  }

  #shape(service: string, name: string, method: MethodNode): MethodShape {
    return {
      name,
      request: this.#resolved(service, method.requestType),
      response: this.#resolved(service, method.responseType),
      requestStream: method.requestStream === true,
      responseStream: method.responseStream === true,
    };
  }

  #node(name: string): Node | undefined {
    return below([this.#descriptor], name)?.at(-1);
  }

  /** The full name of what a name means within a message or service. */
  #resolved(within: string, name: string): string {
    for (
      let scope = within;
      scope !== "";
      scope = scope.slice(0, Math.max(0, scope.lastIndexOf(".")))
    ) {
      if (this.#node(`${scope}.${name}`) !== undefined) return `${scope}.${name}`;
    }
    if (this.#node(name) === undefined) throw new TypeError(`no such type: ${name}`);
    return name;
  }

  /** The message or enum right in a package that has, or is, the one of this name. */
  #outermost(name: string): string {
    const parts = name.split(".");
    const at = parts.findIndex((_, index) => {
      const node = this.#node(parts.slice(0, index + 1).join("."));
      return node?.fields !== undefined || node?.values !== undefined;
    });
    return parts.slice(0, at + 1).join(".");
  }

  /** Adds one, and all that it is made of. */
  #make(name: string): void {
    if (this.#made.has(name)) return;
    this.#made.add(name);
    const wanted = [name];
    for (const one of wanted) {
      const node = this.#node(one);
      const [, folder = "", own = one] = /^(.*)\.([^.]+)$/.exec(one) ?? [];
      // Both are kinds of namespace, and say so: `define` makes one of the descriptor as it is.
      this.#root.define(folder, { [own]: node as protobuf.AnyNestedObject });
      for (const type of this.#typesIn(one, node)) {
        const outer = this.#outermost(type);
        if (this.#made.has(outer)) continue;
        this.#made.add(outer);
        wanted.push(outer);
      }
    }
    this.#root.resolveAll();
  }

  /** Full names of the types of a message's fields, and of those of messages in it. */
  *#typesIn(name: string, node: Node | undefined): Generator<string, void, undefined> {
    for (const { type } of Object.values(node?.fields ?? {})) {
      if (!(type in protobuf.types.basic)) yield this.#resolved(name, type);
    }
    for (const [inner, innerNode] of Object.entries(node?.nested ?? {})) {
      yield* this.#typesIn(`${name}.${inner}`, innerNode);
    }
  }
}
