// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { invalid } from "../base/invalid-field.ts";
import type { LinuxContainerSecurityContext } from "../gen/cri.gen.ts";
import {
  maxGroups,
  maxId,
  nameBytes,
  type PasswdEntry,
  parseId,
} from "../trees/accounts/passwd-file.ts";
import type { RootfsReader } from "./rootfs/ports.ts";

/** The groups are sorted, unique, and hold the primary one. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly supplementalGroups: readonly number[];
}

const field = "linux.security_context";

export type UserRequest = Pick<
  LinuxContainerSecurityContext,
  "runAsUser" | "runAsUsername" | "runAsGroup" | "supplementalGroups" | "supplementalGroupsPolicy"
>;

/**
 * Who the process runs as: run_as_username, else run_as_user, else the image's USER (`u`, `u:g`,
 * names or numbers). A numeric user without a group takes the primary group the image's /etc/passwd
 * gives it, else 0. With policy Merge the image's /etc/group adds the user's groups; with Strict only
 * the request's count. The groups are sorted, unique, and hold the primary one.
 */
export async function resolveUser(
  request: UserRequest | null,
  imageUser: string,
  rootfs: RootfsReader,
  call: Cancellable,
): Promise<ResolvedUser> {
  const { user, group, source } = wantedUser(request, imageUser);
  const policy: string = request?.supplementalGroupsPolicy ?? "Merge";
  if (policy !== "Merge" && policy !== "Strict") {
    throw invalid(`${field}.supplemental_groups_policy`, `unknown policy "${policy}"`);
  }
  const { uid, entry } = await findUser(user, rootfs, source, call);
  const isNamed = group !== "" && !/^\d+$/.test(group);
  const member = policy === "Merge" ? entry?.name : undefined;
  const wanted = { kind: "groups", name: isNamed ? nameBytes(group) : undefined, member } as const;
  const found =
    isNamed || member !== undefined
      ? await rootfs.searchAccounts("/etc/group", wanted, call)
      : undefined;
  const gid = group === "" ? (entry?.gid ?? 0) : groupId(group, found?.gid, source);
  const supplemental = new Set([...requestedGroups(request), gid, ...(found?.memberOf ?? [])]);
  if (supplemental.size > maxGroups) {
    throw invalid(source, `user "${user}" is in more than ${maxGroups} groups`);
  }
  return { uid, gid, supplementalGroups: [...supplemental].sort((a, b) => a - b) };
}

interface WantedUser {
  /** A name or a number; "" for root by default. */
  readonly user: string;
  readonly group: string;
  /** The field that errors name. */
  readonly source: string;
}

function wantedUser(request: UserRequest | null, imageUser: string): WantedUser {
  const group = idText(request?.runAsGroup?.value, "run_as_group");
  const uid = idText(request?.runAsUser?.value, "run_as_user");
  const name = request?.runAsUsername ?? "";
  if (name !== "") return { user: name, group, source: `${field}.run_as_username` };
  if (uid !== "") return { user: uid, group, source: `${field}.run_as_user` };
  if (group !== "") {
    throw invalid(`${field}.run_as_group`, `group ${group} is given without a user`);
  }
  const [user = "", imageGroup = ""] = imageUser.split(":");
  return { user, group: imageGroup, source: "the image's user" };
}

async function findUser(
  user: string,
  rootfs: RootfsReader,
  source: string,
  call: Cancellable,
): Promise<{ readonly uid: number; readonly entry: PasswdEntry | undefined }> {
  if (user === "" || /^\d+$/.test(user)) {
    const uid = user === "" ? 0 : parseId(user);
    if (uid === undefined) throw invalid(source, `uid ${user} is above ${maxId}`);
    const found = await rootfs.searchAccounts("/etc/passwd", { kind: "uid", uid }, call);
    return { uid, entry: found.user };
  }
  const query = { kind: "user", name: nameBytes(user) } as const;
  const { user: entry } = await rootfs.searchAccounts("/etc/passwd", query, call);
  if (entry === undefined) throw invalid(source, `no user "${user}" in the image's /etc/passwd`);
  return { uid: entry.uid, entry };
}

function groupId(group: string, found: number | undefined, source: string): number {
  if (!/^\d+$/.test(group)) {
    if (found !== undefined) return found;
    throw invalid(source, `no group "${group}" in the image's /etc/group`);
  }
  const gid = parseId(group);
  if (gid === undefined) throw invalid(source, `gid ${group} is above ${maxId}`);
  return gid;
}

/** The request's supplemental groups, checked. Used for the sandbox too. */
export function requestedGroups(
  request: Pick<LinuxContainerSecurityContext, "supplementalGroups"> | null,
): number[] {
  return (request?.supplementalGroups ?? []).map((gid) =>
    Number(idText(gid, "supplemental_groups")),
  );
}

/** A CRI id as text, "" when unset; out of range is refused by name. */
export function idText(id: bigint | undefined, name: string): string {
  if (id === undefined) return "";
  if (id < 0n || id > BigInt(maxId)) {
    throw invalid(`${field}.${name}`, `${id} is outside 0..${maxId}`);
  }
  return String(id);
}
