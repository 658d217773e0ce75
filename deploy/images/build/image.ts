import { join } from 'node:path';

import { baseLayer, nodeLayer } from './base-layer.js';
import { dependenciesOf, dependencyLayer, type Installation } from './dependencies.js';
import type { Inputs } from './inputs.js';
import { installation } from './installation.js';
import { makeLayer, type Layer, type LayerPlace } from './layer.js';
import { IMAGE_NAME, indexOf, Layout, REF_NAME, TYPES, type Descriptor } from './layout.js';
import type { Architecture } from './platforms.js';
import { productLayer, RECIPES, type ImageName } from './product.js';
import { billOfMaterials, SBOM_TYPE } from './sbom.js';

/** What all images are made from. */
export interface Materials {
  /** Of the repository. */
  readonly root: string;
  readonly inputs: Inputs;
  /** For downloads and layers. */
  readonly cache: string;
  /** Compress layers anew. */
  readonly fresh: boolean;
  /** Seconds since 1970, the time of every file and of the image. */
  readonly epoch: number;
}

/** What the images for one platform share. */
export interface Platform {
  readonly architecture: Architecture;
  readonly layers: readonly Layer[];
  readonly installed: Installation;
}

export interface ImageOptions extends Materials {
  readonly name: ImageName;
  readonly version: string;
  readonly platforms: readonly Platform[];
  /** The image's name is REGISTRY/tributary/NAME:VERSION. */
  readonly registry: string;
  /** Folder of the layout. */
  readonly out: string;
}

export interface BuiltPlatform {
  readonly architecture: Architecture;
  readonly layers: readonly Layer[];
}
export interface BuiltImage {
  readonly reference: string;
  readonly digest: string;
  readonly platforms: readonly BuiltPlatform[];
}

interface PlatformParts extends BuiltPlatform {
  readonly manifest: Descriptor;
  readonly bill: Descriptor;
}

const placeOf = ({ cache, fresh, epoch }: Materials): LayerPlace => ({
  folder: join(cache, 'layers'),
  fresh,
  epoch,
});

/** Fetches and holds against their digests what images for a platform begin with. */
export async function preparePlatform(materials: Materials, architecture: Architecture): Promise<Platform> {
  const { root, inputs, cache } = materials;
  // What is refused is refused before npm is asked.
  const base = await baseLayer(inputs, architecture, cache);
  const node = await nodeLayer(inputs, architecture, cache);
  const installed = await installation(root, architecture, cache);
  const place = placeOf(materials);
  const layers = await Promise.all([makeLayer('Debian', base, place), makeLayer('Node.js', node, place)]);
  return { architecture, layers, installed };
}

/** The layers of one image, the shared ones first. */
export async function imageLayers(
  materials: Materials,
  name: ImageName,
  { architecture, layers, installed }: Platform,
): Promise<readonly Layer[]> {
  const place = placeOf(materials);
  const packages = dependenciesOf(installed, RECIPES[name].workspaces);
  const product = await productLayer(materials.root, name);
  const own = await Promise.all([
    makeLayer('dependencies', dependencyLayer(installed, packages, architecture), place),
    makeLayer('product', product, place),
  ]);
  return [...layers, ...own];
}

/** Writes the layout of one image: its index, a manifest and a bill of materials per platform. */
export async function buildImage(options: ImageOptions): Promise<BuiltImage> {
  const { name, version, registry, out } = options;
  const layout = new Layout(out);
  await layout.begin();
  const platforms: PlatformParts[] = [];
  for (const platform of options.platforms) platforms.push(await buildPlatform(layout, options, platform));
  const index = await layout.putJson(TYPES.index, indexOf(platforms.map(({ manifest }) => manifest)));
  const reference = `${registry}/tributary/${name}:${version}`;
  const annotations = { [REF_NAME]: version, [IMAGE_NAME]: reference };
  await layout.setManifests([{ ...index, annotations }, ...platforms.map(({ bill }) => bill)]);
  return { reference, digest: index.digest, platforms };
}

async function buildPlatform(
  layout: Layout,
  options: ImageOptions,
  platform: Platform,
): Promise<PlatformParts> {
  const { name, version, inputs } = options;
  const { architecture, installed } = platform;
  const recipe = RECIPES[name];
  const layers = await imageLayers(options, name, platform);
  const config = await layout.putJson(TYPES.config, configOf(options, architecture, layers));
  const described = layers.map(({ digest, size, file }) =>
    layout.putFile({ mediaType: TYPES.layer, digest, size }, file),
  );
  const manifest = await layout.putJson(TYPES.manifest, {
    schemaVersion: 2,
    mediaType: TYPES.manifest,
    config,
    layers: await Promise.all(described),
  });
  const bill = await attachBill(layout, manifest, {
    ...{ title: recipe.title, name, version, workspaces: recipe.workspaces, architecture, inputs },
    digest: manifest.digest,
    packages: dependenciesOf(installed, recipe.workspaces),
  });
  return {
    architecture,
    layers,
    manifest: { ...manifest, platform: { architecture, os: 'linux' } },
    bill,
  };
}

/** The bill of materials as an artifact that refers to the manifest. */
async function attachBill(
  layout: Layout,
  subject: Descriptor,
  options: Parameters<typeof billOfMaterials>[0],
): Promise<Descriptor> {
  const bill = await layout.putJson(SBOM_TYPE, billOfMaterials(options));
  const artifact = await layout.putJson(TYPES.manifest, {
    schemaVersion: 2,
    mediaType: TYPES.manifest,
    artifactType: SBOM_TYPE,
    config: await layout.putJson(TYPES.empty, {}),
    layers: [bill],
    subject,
  });
  return { ...artifact, artifactType: SBOM_TYPE };
}

function configOf(
  { name, version, epoch }: ImageOptions,
  architecture: Architecture,
  layers: readonly Layer[],
): Readonly<Record<string, unknown>> {
  const recipe = RECIPES[name];
  const created = `${new Date(epoch * 1_000).toISOString().slice(0, 19)}Z`;
  return {
    created,
    architecture,
    os: 'linux',
    config: {
      User: '65532:65532',
      ExposedPorts: Object.fromEntries(recipe.ports.map((port) => [`${String(port)}/tcp`, {}])),
      Env: ['NODE_ENV=production', 'PATH=/opt/tributary/node_modules/.bin:/usr/local/bin:/usr/bin:/bin'],
      Entrypoint: recipe.entrypoint,
      Cmd: recipe.arguments,
      Volumes: { '/var/lib/tributary': {} },
      WorkingDir: '/opt/tributary',
      Labels: {
        'org.opencontainers.image.title': recipe.title,
        'org.opencontainers.image.description': recipe.description,
        'org.opencontainers.image.version': version,
        'org.opencontainers.image.licenses': 'Apache-2.0',
        'org.opencontainers.image.created': created,
      },
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ comment }) => ({ created, created_by: 'npm run image', comment })),
  };
}
