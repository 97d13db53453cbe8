// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { searchPath } from "../kinds.ts";

export const registry = table({
  doc: "Where images are pulled from.",
  keys: {
    /** Folder of HOST/hosts.toml; "" for none. */
    configPath: key({
      name: "config_path",
      kind: searchPath,
      default: "/etc/berthd/certs.d",
      change: "reload",
      doc: 'Folder of HOST/hosts.toml files with mirrors and certificates; "" for none. A HOST folder without one may have certificates alone, as Docker has them: *.crt for authorities, NAME.cert with NAME.key for clients. Of several folders, "A:B" or ["A", "B"], the first counts that has something for the host or for _default. A pull secret goes to the registry it names only: a mirror that wants a login has it in its "header".',
    }),
  },
});
