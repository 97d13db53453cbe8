// SPDX-License-Identifier: Apache-2.0

/** A kind of machine that packages are made for. */
export interface Target {
  /** As Debian and OCI name it. */
  readonly name: "amd64" | "arm64";
  /** As Node and npm name it. */
  readonly npmName: "x64" | "arm64";
  /** Debian's compiler for it, and the package that brings it to another kind of machine. */
  readonly crossCompiler: string;
  readonly crossPackage: string;
}

export const targets: readonly Target[] = [
  {
    name: "amd64",
    npmName: "x64",
    crossCompiler: "x86_64-linux-gnu-gcc",
    crossPackage: "gcc-x86-64-linux-gnu",
  },
  {
    name: "arm64",
    npmName: "arm64",
    crossCompiler: "aarch64-linux-gnu-gcc",
    crossPackage: "gcc-aarch64-linux-gnu",
  },
];
