// SPDX-License-Identifier: Apache-2.0
import { createConfiguration, ServerConfiguration, wrapHttpLibrary } from "@kubernetes/client-node";
import { BoundedHttp } from "./bounded-http.ts";
import { type KubeCall, openKubeconfig } from "./open-kubeconfig.ts";

/** What the APIs of one server are made with: by this kubeconfig, within our bounds. */
export async function openApi(
  kubeconfig: Parameters<typeof openKubeconfig>[0],
  call: KubeCall,
): Promise<{
  readonly server: string;
  readonly configuration: ReturnType<typeof createConfiguration>;
}> {
  const access = await openKubeconfig(kubeconfig, call);
  const configuration = createConfiguration({
    baseServer: new ServerConfiguration(access.server, {}),
    httpApi: wrapHttpLibrary(new BoundedHttp(access, call)),
    authMethods: {}, // the access has them
  });
  return { server: access.server, configuration };
}
