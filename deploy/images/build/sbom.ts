import { createHash } from 'node:crypto';

import type { NpmPackage } from './dependencies.js';
import type { Inputs } from './inputs.js';
import { sha512Of } from './pinned.js';
import type { Architecture } from './platforms.js';

export const SBOM_TYPE = 'application/vnd.cyclonedx+json';

export interface BillOf {
  readonly title: string;
  readonly name: string;
  readonly version: string;
  readonly workspaces: readonly string[];
  readonly architecture: Architecture;
  /** Digest of the platform's manifest. */
  readonly digest: string;
  readonly inputs: Inputs;
  readonly packages: readonly NpmPackage[];
}

interface Component {
  readonly type: string;
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly [field: string]: unknown;
}

const encoded = encodeURIComponent;
const npmPurl = (name: string, version: string): string =>
  `pkg:npm/${name.split('/').map(encoded).join('/')}@${encoded(version)}`;

/** What is in an image for one platform, as CycloneDX 1.6. The same image gives the same bytes. */
export function billOfMaterials(options: BillOf): Readonly<Record<string, unknown>> {
  const { title, name, version, architecture, digest, packages } = options;
  const own = workspaceComponents(options);
  const image = `pkg:oci/${name}@${encoded(digest)}?arch=${architecture}`;
  const debian = debianComponents(options);
  const npm = packages.map(npmComponent);
  const node = nodeComponent(options);
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(image)}`,
    version: 1,
    metadata: {
      component: { type: 'container', 'bom-ref': image, name, version, description: title, purl: image },
    },
    components: [...own, node, ...debian, ...npm],
    dependencies: [
      {
        ref: image,
        dependsOn: [...own, node, ...debian, ...npm].map((component) => component['bom-ref']).sort(),
      },
      ...packages.map(({ path, needs }) => ({ ref: refOf(path), dependsOn: needs.map(refOf) })),
    ],
  };
}

/** A package may be installed at two places. */
const refOf = (path: string): string => `npm:${path}`;

/** A name-based UUID (RFC 9562, version 8: the digest is SHA-256). */
function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function workspaceComponents({ workspaces, version }: BillOf): readonly Component[] {
  return workspaces.map((workspace) => ({
    type: 'application',
    'bom-ref': `tributary:${workspace}`,
    name: `@tributary/${workspace}`,
    version,
    licenses: [{ expression: 'Apache-2.0' }],
    purl: npmPurl(`@tributary/${workspace}`, version),
  }));
}

function archiveHash(name: string, integrity: string): { readonly alg: string; readonly content: string } {
  const digest = sha512Of(integrity);
  if (digest === undefined) throw new Error(`${name}: no SHA-512 in package-lock.json`);
  return { alg: 'SHA-512', content: digest.hex };
}

function npmComponent({ path, name, version, integrity, license }: NpmPackage): Component {
  return {
    type: 'library',
    'bom-ref': refOf(path),
    name,
    version,
    hashes: [archiveHash(name, integrity)],
    ...(license !== '' && { licenses: [{ expression: license }] }),
    purl: npmPurl(name, version),
  };
}

function nodeComponent({ inputs, architecture }: BillOf): Component {
  const { name, version, integrity } = inputs.node[architecture];
  return {
    type: 'platform',
    'bom-ref': 'node',
    name: 'node',
    version,
    hashes: [archiveHash(name, integrity)],
    licenses: [{ expression: 'MIT' }],
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
    purl: npmPurl(name, version),
  };
}

/** Of what images take of these packages; the copyright in the image says it in full. */
const DEBIAN_LICENSES: Readonly<Record<string, string>> = {
  'base-files': 'GPL-2.0-or-later',
  coreutils: 'GPL-3.0-or-later',
  'gcc-12-base': 'GPL-3.0-or-later',
  libc6: 'LGPL-2.1-or-later',
  'libgcc-s1': 'GPL-3.0-or-later WITH GCC-exception-3.1',
  'libstdc++6': 'GPL-3.0-or-later WITH GCC-exception-3.1',
};

function debianComponents({ inputs, architecture }: BillOf): readonly Component[] {
  return inputs.debian[architecture].map(({ name, version, sha256 }) => {
    const expression = DEBIAN_LICENSES[name];
    if (expression === undefined) throw new Error(`nobody has said what the license of ${name} is`);
    return {
      type: 'library',
      'bom-ref': `debian:${name}`,
      name,
      version,
      hashes: [{ alg: 'SHA-256', content: sha256 }],
      licenses: [{ expression }],
      purl: `pkg:deb/debian/${encoded(name)}@${encoded(version)}?arch=${architecture}&distro=debian-12`,
      properties: [{ name: 'tributary:copyright', value: `/usr/share/doc/${name}/copyright` }],
    };
  });
}
