// SPDX-License-Identifier: Apache-2.0
import { chmod, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { runningProcess } from "./made-node.ts";
import { berthdToml, type Sickness } from "./sickness.ts";

export const ofPrograms: readonly Sickness[] = [
  {
    name: "a configuration with a key that nobody knows",
    check: "config",
    make: ({ write }) => write(berthdToml, "zebra = 1\n"),
    level: "error",
    says: /unknown key "zebra" in \/etc\/berthd\/config\.toml/,
    mends: true,
  },
  {
    name: "a configuration that is no TOML, with a wrong value in a drop-in",
    check: "config",
    make: async ({ write }) => {
      await write(berthdToml, '[timeouts]\ncni = "5s"\n');
      await write("/etc/berthd/config.d/10-x.toml", '# mine\n[timeouts]\ncni = "long"\n');
    },
    level: "error",
    says: /bad value of "timeouts\.cni" in \/etc\/berthd\/config\.d\/10-x\.toml/,
    mends: true,
  },
  {
    name: "a configuration that ends in the middle",
    check: "config",
    make: ({ write }) => write(berthdToml, "[timeouts]\n[grpc\n"),
    level: "error",
    says: /config\.toml:2:6: not valid TOML/,
    mends: true,
  },
  {
    name: "a key that has gone",
    check: "config",
    make: ({ write }) => write(berthdToml, "oom_score = 1\n"),
    level: "warning",
    says: /"oom_score"/,
  },
  {
    name: "a database that is none",
    check: "daemon",
    make: ({ write }) => write("/var/lib/berthd/meta.db", "x".repeat(4096)),
    level: "error",
    says: /meta\.db": it is no SQLite database/,
  },
  {
    name: "a database that is empty, beside blobs",
    check: "daemon",
    make: async ({ write }) => {
      await write("/var/lib/berthd/meta.db", "");
      await write("/var/lib/berthd/content/blobs/sha256/0", "x");
    },
    level: "error",
    says: /meta\.db": it is empty, while ".*blobs" still holds what it told of/,
  },
  {
    name: "no shim",
    check: "runtimes",
    make: ({ root }) => rm(path.join(root, "usr/bin/containerd-shim-runc-v2")),
    level: "error",
    says: /no containerd-shim-runc-v2 in PATH/,
  },
  {
    name: "a shim for another kind of machine",
    check: "runtimes",
    make: ({ write }) => write("/usr/bin/containerd-shim-runc-v2", "\x7fELF nothing", 0o755),
    level: "error",
    says: /containerd-shim-runc-v2 of handler runc does not run/,
  },
  {
    name: "an OCI runtime that hangs, before the package's own",
    check: "runtimes",
    make: async ({ write }) => {
      await write("/usr/local/bin/runc", "#!/bin/sh\nexec sleep 60\n", 0o755);
    },
    level: "error",
    says: /\/usr\/local\/bin\/runc does not run: runc took too long/,
    mends: true,
  },
  {
    name: "no OCI runtime",
    check: "runtimes",
    make: ({ root }) => rm(path.join(root, "usr/bin/runc")),
    level: "error",
    says: /handler runc: there is no OCI runtime runc on PATH/,
  },
  {
    name: "an OCI runtime that is not executable",
    check: "runtimes",
    make: ({ root }) => chmod(path.join(root, "usr/bin/runc"), 0o644),
    level: "error",
    says: /\/usr\/bin\/runc is not executable/,
    mends: true,
  },
  {
    name: "an OCI runtime with a known flaw",
    check: "runtimes",
    make: ({ write }) => write("/usr/bin/runc", "#!/bin/sh\necho runc version 1.1.5\n", 0o755),
    level: "warning",
    says: /runc 1\.1\.5, which by its number has .*CVE-2024-21626/,
  },
  {
    name: "a handler whose shim is nowhere",
    check: "runtimes",
    make: ({ write }) =>
      write(berthdToml, '[runtime.handlers.kata]\ntype = "io.containerd.kata.v2"\n'),
    level: "error",
    says: /handler kata: .*no containerd-shim-kata-v2 in PATH/,
  },
  {
    name: "a base spec that is no JSON",
    check: "runtimes",
    make: async ({ write }) => {
      await write(
        berthdToml,
        '[runtime.handlers.runc]\nbase_runtime_spec = "/etc/berthd/base.json"\n',
      );
      await write("/etc/berthd/base.json", "{");
    },
    level: "error",
    says: /base_runtime_spec of handler runc, \/etc\/berthd\/base\.json/,
  },
  {
    name: "a configured shim that is not there",
    check: "runtimes",
    make: ({ write }) => write(berthdToml, '[runtime.handlers.runc]\nshim = "/nonexist"\n'),
    level: "error",
    says: /handler runc: .*\/nonexist/,
    advises:
      /^vi '\/etc\/berthd\/config\.toml' # shim in \[runtime\.handlers\.runc\] is to name a file that is there/,
  },
  {
    name: "a configured OCI runtime that is not there",
    check: "runtimes",
    make: ({ write }) =>
      write(berthdToml, '[runtime.handlers.runc]\nbinary_name = "/nonexist/runc"\n'),
    level: "error",
    says: /handler runc: there is no OCI runtime \/nonexist\/runc/,
    advises: /^vi '\/etc\/berthd\/config\.toml' # binary_name in \[runtime\.handlers\.runc\]/,
  },
  {
    name: "a configured base spec that is not there",
    check: "runtimes",
    make: ({ write }) =>
      write(berthdToml, '[runtime.handlers.runc]\nbase_runtime_spec = "/nonexist"\n'),
    level: "error",
    says: /base_runtime_spec of handler runc, \/nonexist: there is no such file/,
    advises: /^vi '\/etc\/berthd\/config\.toml' # base_runtime_spec in \[runtime\.handlers\.runc\]/,
  },
  {
    name: "a file of block I/O classes that is not there",
    check: "runtimes",
    make: ({ write }) => write(berthdToml, '[cri]\nblockio_config_file = "/nonexist"\n'),
    level: "warning",
    says: /cannot use blockio_config_file "\/nonexist": ENOENT/,
    advises: /blockio_config_file in \[cri\] of \/etc\/berthd\/config\.toml/,
  },
  {
    name: "a containerd beside",
    check: "others",
    make: ({ root, write }) => runningProcess(write, root, 78, "containerd"),
    level: "note",
    says: /containerd runs on this node, too/,
  },
  {
    name: "a socket that a killed daemon left",
    check: "sockets",
    make: ({ root }) => staleSocket(path.join(root, "run/berthd/berthd.sock")),
    level: "warning",
    says: /nobody listens at \/run\/berthd\/berthd\.sock/,
  },
  {
    name: "a file in the socket's place",
    check: "sockets",
    make: ({ write }) => write("/run/berthd/berthd.sock", ""),
    level: "error",
    says: /\/run\/berthd\/berthd\.sock is no socket/,
    mends: true,
  },
];

/** A socket whose listener is gone: closing one removes its file. */
async function staleSocket(file: string): Promise<void> {
  const kept = `${file}.kept`;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(kept, resolve));
  await rename(kept, file);
  await new Promise((resolve) => server.close(resolve));
}
