// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { searchPath, strings } from "../kinds.ts";
import { proxyUrl } from "../proxy-url.ts";

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
    /** "" for what the environment says, "none" for none. */
    proxy: key({
      name: "proxy",
      kind: proxyUrl,
      default: "",
      change: "reload",
      doc: 'Proxy for all registries, "http://HOST:PORT", "https://HOST:PORT" for one that is spoken to over TLS, or "socks5://HOST:PORT"; "http://USER:PASSWORD@HOST:PORT" for one that wants a login. "" for HTTPS_PROXY and HTTP_PROXY of the daemon\'s environment, "none" for none. Hosts on the loopback never go through a proxy.',
    }),
    noProxy: key({
      name: "no_proxy",
      kind: strings,
      default: [],
      change: "reload",
      doc: 'Registries that are asked without a proxy: "example.com" with all below it, ".example.com" for those below it alone, an address, a network such as "10.0.0.0/8", each but the last with ":PORT" if wanted, or "*" for all. Empty for NO_PROXY of the daemon\'s environment.',
    }),
  },
});
