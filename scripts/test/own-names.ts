// SPDX-License-Identifier: Apache-2.0
// The names that Berth, its tests, its bench and its quickstart give to what they make on a machine.
// What nobody else would call so, and is there when the tests have ended, they left, or a run before them that was cut
// short.

/** test/support/scratch.ts: PREFIX, a space or a dash, six hex digits, and mkdtemp's six letters. */
const scratchName = /^[a-z-]+[ -][0-9a-f]{6}[A-Za-z0-9]{6}$/;
const temporary =
  /^(berthd?[ -].*|(helper launcher|cgroup limits|host paths|make folder|ttrpc test)[ -].*)$/;

/** A path in one of those folders, or of the quickstart's. */
export const ownPath =
  /\/(?:tmp|scratch)\/(?:\S*\/)?(?:berthd?[ -]|[a-z-]+[ -][0-9a-f]{6}[A-Za-z0-9]{6}(?:\/|$|\s))/;

export function isOwnTemporary(name: string): boolean {
  return scratchName.test(name) || temporary.test(name);
}

export function isOwnProcess(argv: readonly string[]): boolean {
  const line = argv.join(" ");
  return (
    argv[0] === "/pause" ||
    argv[0] === "berth-fifo-holder" ||
    /cli\/berthd\.ts|\/pause-(amd64|arm64)/.test(line) ||
    ownPath.test(line)
  );
}

/** `place` is the path below a hierarchy's mount. */
export function isOwnCgroup(place: string): boolean {
  return /\/(berth|kubepods|k8s\.io)/.test(place);
}

/** Bridges of tests (`bt` and a tag) and of the quickstart, and what CNI's bridge and bandwidth plugins add. */
export function isOwnLink(name: string): boolean {
  return /^(berth.*|bt[0-9a-f]{6}|veth[0-9a-f]{8}|bwp[0-9a-f]+)$/.test(name);
}

export function isOwnNetns(name: string): boolean {
  return /^(cni-|berth)/.test(name);
}

/** A line of iptables-save. CNI's plugins write the network's name into each rule's comment. */
export function isOwnRule(line: string): boolean {
  return line.startsWith("-A ") && /name: \\"berth/.test(line);
}
