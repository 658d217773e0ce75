import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { repositoryRoot } from '../support/daemon.js';
import { execute } from '../support/kube/charts.js';
import { layerFiles, listLayer, platformImages, type PlatformImage } from '../support/oci/image-files.js';
import { builtLayouts, CACHE, type ImageName } from '../support/oci/images.js';
import {
  layoutIndex,
  readBlob,
  readJson,
  type Descriptor,
  type ImageManifest,
} from '../support/oci/layout.js';

const SBOM_TYPE = 'application/vnd.cyclonedx+json';
const HOME = 'opt/tributary/';
const NAMES: readonly ImageName[] = ['coordinator', 'agent'];

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly { readonly expression?: string }[];
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
}
interface Package {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}
interface BillValidator {
  readonly validate: (text: string) => Promise<unknown>;
}

/** The schema of CycloneDX 1.6, as its own library brings it. */
function billValidator(): BillValidator {
  const library = createRequire(import.meta.url)('@cyclonedx/cyclonedx-library') as {
    readonly Spec: { readonly Version: { readonly v1dot6: string } };
    readonly Validation: { readonly JsonStrictValidator: new (version: string) => BillValidator };
  };
  return new library.Validation.JsonStrictValidator(library.Spec.Version.v1dot6);
}

/** The bill of materials that refers to a manifest. */
async function billOf(layout: string, digest: string): Promise<string> {
  for (const descriptor of (await layoutIndex(layout)).manifests) {
    if (descriptor.artifactType !== SBOM_TYPE) continue;
    const { subject, layers, artifactType } = await readJson<ImageManifest>(layout, descriptor);
    if (subject?.digest !== digest) continue;
    assert.equal(artifactType, SBOM_TYPE);
    const [layer] = layers;
    assert.ok(layer?.mediaType === SBOM_TYPE);
    return (await readBlob(layout, layer)).toString();
  }
  throw new Error(`nothing refers to ${digest}`);
}

const npmPurl = (name: string, version: string): string => `pkg:npm/${name.replace('@', '%40')}@${version}`;
const plus = (text: string): string => text.replaceAll('+', '%2B');
const withoutBrackets = (license: string): string => license.replace(/^\((.*)\)$/, '$1');
const said = ({ licenses = [] }: Component): string =>
  withoutBrackets(licenses.map(({ expression = '' }) => expression).join());

/** One line for each package of npm that is in the layers, and of package-lock.json's digest for it. */
function npmLines(files: ReadonlyMap<string, Buffer>): readonly string[] {
  const { packages } = JSON.parse(readFileSync(join(repositoryRoot, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly integrity?: string }>>;
  };
  const lines: string[] = [];
  for (const [path, content] of files) {
    const [, folder = ''] =
      /^opt\/tributary\/((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^@/]+)\/package\.json$/.exec(path) ?? [];
    if (folder === '') continue;
    const { name, version, license = '' } = JSON.parse(content.toString()) as Package;
    const base64 = packages[folder]?.integrity?.replace('sha512-', '') ?? '';
    const sha512 = Buffer.from(base64, 'base64').toString('hex');
    lines.push(
      [`npm:${folder}`, name, version, npmPurl(name, version), withoutBrackets(license), sha512].join(' '),
    );
  }
  return lines.sort();
}

/** What Debian's control files in the layers say. */
function debianLines(files: ReadonlyMap<string, Buffer>): readonly string[] {
  const lines: string[] = [];
  for (const [path, content] of files) {
    if (!path.startsWith('var/lib/dpkg/status.d/')) continue;
    const of = (field: string): string =>
      new RegExp(`^${field}: (.*)$`, 'm').exec(content.toString())?.[1] ?? '';
    const [name, version] = [of('Package'), of('Version')];
    assert.equal(path, `var/lib/dpkg/status.d/${name}`);
    const purl = `pkg:deb/debian/${plus(name)}@${plus(version)}?arch=${of('Architecture')}&distro=debian-12`;
    lines.push([`debian:${name}`, name, version, purl].join(' '));
  }
  return lines.sort();
}

/** Words of the copyright that a license has to be in. */
const COPYRIGHTS: Readonly<Record<string, RegExp>> = {
  'GPL-2.0-or-later': /GNU General Public License[^]*version 2 of the License, or[^]*any later version/,
  'GPL-3.0-or-later': /GNU General Public License[^]*version 3[^]*any\s+later version/,
  'LGPL-2.1-or-later': /Lesser General Public[^]*version 2\.1 of the License, or[^]*any later version/,
  'GPL-3.0-or-later WITH GCC-exception-3.1':
    /GNU General Public License \(v3 or later\) with version 3\.1 of the GCC\s+Runtime/,
};

/** Files of Debian's packages for a platform, as dpkg lists them. */
async function debianFiles(architecture: 'amd64' | 'arm64'): Promise<ReadonlySet<string>> {
  const { debian } = JSON.parse(readFileSync(join(repositoryRoot, 'deploy/images/inputs.json'), 'utf8')) as {
    readonly debian: Readonly<Record<string, readonly { readonly sha256: string }[]>>;
  };
  const found = new Set<string>();
  for (const { sha256 } of debian[architecture] ?? []) {
    const { code, stdout, stderr } = await execute('dpkg-deb', [
      '--contents',
      join(CACHE, 'debian', `${sha256}.deb`),
    ]);
    assert.equal(code, 0, stderr);
    for (const [, path = ''] of stdout.matchAll(/ \.\/(.*?)(?: -> .*| link to .*)?$/gm))
      found.add(path.replace(/^(bin|sbin|lib|lib64)\//, 'usr/$1/'));
  }
  return found;
}

/** Of this project, and of nobody else. */
const OWN =
  /^(etc\/(passwd|group|nsswitch\.conf)|var\/lib\/dpkg\/status\.d\/[^/]+|opt\/tributary\/(package\.json|LICENSE|(proto|coordinator|edge-agent|deploy)\/.*))$/;
const NODE = 'usr/local/bin/node';
const OF_NODE = [NODE, 'usr/local/share/doc/node/LICENSE'];

/** As the program itself says it to servers. */
async function nodeVersion(layout: string, layer: Descriptor): Promise<string> {
  const program = (await layerFiles(layout, [layer], (path) => path === NODE)).get(NODE);
  const at = program?.indexOf('node.js/v') ?? -1;
  assert.ok(program !== undefined && at > 0);
  return /^node\.js\/v([0-9.]+)/.exec(program.toString('latin1', at, at + 32))?.[1] ?? '';
}

describe('bills of materials', function () {
  this.timeout(580_000);
  let layouts: string;
  const validator = billValidator();
  const versions: Record<string, string> = {};

  before(async () => {
    layouts = await builtLayouts();
  });

  const componentsOf = async (
    layout: string,
    { descriptor }: PlatformImage,
  ): Promise<readonly Component[]> => {
    const text = await billOf(layout, descriptor.digest);
    return (JSON.parse(text) as { readonly components: readonly Component[] }).components;
  };

  /** Layers but for the large one, which both images have. */
  const withoutNode = async (layout: string, { manifest }: PlatformImage): Promise<readonly Descriptor[]> => {
    const found: Descriptor[] = [];
    for (const layer of manifest.layers)
      if ((await listLayer(layout, layer)).every(({ path }) => path !== NODE)) found.push(layer);
    assert.equal(found.length, manifest.layers.length - 1);
    return found;
  };

  it('name the version of Node.js that is in the layers', async () => {
    for (const name of NAMES) {
      const layout = join(layouts, name);
      for (const image of await platformImages(layout)) {
        const node = (await componentsOf(layout, image)).find((component) => component['bom-ref'] === 'node');
        assert.ok(node !== undefined);
        const other = await withoutNode(layout, image);
        const [layer] = image.manifest.layers.filter((one) => !other.includes(one));
        assert.ok(layer !== undefined);
        versions[layer.digest] ??= await nodeVersion(layout, layer);
        assert.equal(node.version, versions[layer.digest]);
        assert.equal(
          node.purl,
          `pkg:npm/node-linux-${image.architecture.replace('amd64', 'x64')}@${node.version}`,
        );
      }
    }
  });

  for (const name of NAMES) {
    it(`${name}: name each package in the layers with its version, license and digest, and nothing else`, async () => {
      const layout = join(layouts, name);
      for (const image of await platformImages(layout)) {
        const components = await componentsOf(layout, image);
        assert.equal(await validator.validate(await billOf(layout, image.descriptor.digest)), null);
        const files = await layerFiles(layout, await withoutNode(layout, image), (path) =>
          /(^|\/)package\.json$|^var\/lib\/dpkg\/status\.d\/|\/copyright$/.test(path),
        );
        const lines = (prefix: string, of: (component: Component) => readonly string[]): readonly string[] =>
          components
            .filter((component) => component['bom-ref'].startsWith(prefix))
            .map((component) =>
              [
                component['bom-ref'],
                component.name,
                component.version,
                component.purl,
                ...of(component),
              ].join(' '),
            )
            .sort();
        const npm = lines('npm:', (one) => [said(one), one.hashes?.[0]?.content ?? '']);
        assert.ok(npm.length > 100);
        assert.deepEqual(npm, npmLines(files));
        const debian = lines('debian:', () => []);
        assert.deepEqual(debian, debianLines(files));
        const own = lines('tributary:', (one) => [said(one)]);
        const workspaces = ['proto', name === 'agent' ? 'edge-agent' : name].map((folder) => {
          const content = files.get(`${HOME}${folder}/package.json`)?.toString() ?? '{}';
          const { name: title, version, license = '' } = JSON.parse(content) as Package;
          return [`tributary:${folder}`, title, version, npmPurl(title, version), license].join(' ');
        });
        assert.deepEqual(own, workspaces.sort());
        assert.equal(components.length, npm.length + debian.length + own.length + 1);
        for (const component of components) {
          if (!component['bom-ref'].startsWith('debian:')) continue;
          // libgcc's and libstdc++'s are links to this one.
          const copyright =
            files.get(`usr/share/doc/${component.name}/copyright`) ??
            files.get('usr/share/doc/gcc-12-base/copyright');
          assert.match(copyright?.toString() ?? '', COPYRIGHTS[said(component)] ?? /^$/, component.name);
        }
      }
    });

    it(`${name}: leave no file of the layers without a component`, async () => {
      const layout = join(layouts, name);
      for (const image of await platformImages(layout)) {
        const known = await debianFiles(image.architecture === 'arm64' ? 'arm64' : 'amd64');
        const folders = new Set(
          (await componentsOf(layout, image)).map((component) => component['bom-ref'].replace('npm:', HOME)),
        );
        for (const layer of image.manifest.layers)
          for (const { mode, path } of await listLayer(layout, layer)) {
            if (!mode.startsWith('-')) continue;
            const [owner = ''] = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path) ?? [];
            assert.ok(
              folders.has(owner) || known.has(path) || OWN.test(path) || OF_NODE.includes(path),
              path,
            );
          }
      }
    });
  }
});
