// SPDX-License-Identifier: Apache-2.0
import type { NpmPart } from "./npm-parts.ts";

/** What a package is, for the list of what is in it. */
export interface SbomSubject {
  readonly version: string;
  readonly revision: string;
  readonly architecture: string;
  /** When it was made, in seconds since 1970. */
  readonly seconds: number;
}

/** The list of what is inside, in CycloneDX 1.6: https://cyclonedx.org/docs/1.6/json/ */
export function sbom(subject: SbomSubject, parts: readonly NpmPart[]): string {
  const purl = `pkg:deb/berth@${subject.version}?arch=${subject.architecture}`;
  const components = parts.map((part) => ({
    type: part.name.startsWith("node-linux-") ? "platform" : "library",
    "bom-ref": npmUrl(part),
    name: part.name,
    version: part.version,
    purl: npmUrl(part),
    ...(part.integrity !== undefined && { hashes: [hashOf(part.integrity)] }),
    licenses: [{ expression: part.license }],
  }));
  const list = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: new Date(subject.seconds * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": purl,
        name: "berth",
        version: subject.version,
        purl,
        licenses: [{ expression: "Apache-2.0" }],
        properties: [{ name: "berth:revision", value: subject.revision }],
      },
    },
    components,
    dependencies: [{ ref: purl, dependsOn: components.map((component) => component["bom-ref"]) }],
  };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

function npmUrl({ name, version }: NpmPart): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** `sha512-BASE64`, as npm has it, is of the archive that the part came in. */
function hashOf(integrity: string): { alg: string; content: string } {
  const content = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
  return { alg: "SHA-512", content };
}
