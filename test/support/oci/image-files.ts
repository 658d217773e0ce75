import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

import { extract } from 'tar-stream';

import { execute } from '../kube/charts.js';
import {
  blobPath,
  platformManifests,
  readJson,
  type Descriptor,
  type ImageConfig,
  type ImageManifest,
} from './layout.js';

export interface PlatformImage {
  readonly architecture: string;
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
}

export async function platformImages(layout: string): Promise<readonly PlatformImage[]> {
  const found: PlatformImage[] = [];
  for (const descriptor of await platformManifests(layout)) {
    const manifest = await readJson<ImageManifest>(layout, descriptor);
    const config = await readJson<ImageConfig>(layout, manifest.config);
    found.push({ architecture: descriptor.platform?.architecture ?? '', descriptor, manifest, config });
  }
  return found;
}

/** A line of `tar --list --verbose`. */
export interface TarLine {
  readonly mode: string;
  readonly owner: string;
  readonly time: string;
  readonly path: string;
}

const listed = new Map<string, Promise<readonly TarLine[]>>();

/** What tar says of a layer's members, in their order; a layer that images share is listed once in a process. */
export function listLayer(layout: string, layer: Descriptor): Promise<readonly TarLine[]> {
  const known = listed.get(layer.digest) ?? list(layout, layer);
  listed.set(layer.digest, known);
  return known;
}

async function list(layout: string, layer: Descriptor): Promise<readonly TarLine[]> {
  const { code, stdout, stderr } = await execute(
    'tar',
    [
      '--list',
      '--verbose',
      '--gzip',
      '--numeric-owner',
      '--full-time',
      '--file',
      blobPath(layout, layer.digest),
    ],
    '',
    { TZ: 'UTC' },
  );
  if (code !== 0) throw new Error(stderr);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, mode = '', owner = '', time = '', path = ''] =
        /^(\S+) (\S+)\s+\d+ (\S+ \S+) (.*?)(?: -> .*)?$/.exec(line) ?? [];
      return { mode, owner, time, path };
    });
}

/** Files of an image that `wanted` takes, by path, as its layers hold them. */
export async function layerFiles(
  layout: string,
  layers: readonly Descriptor[],
  wanted: (path: string) => boolean,
): Promise<ReadonlyMap<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const { digest } of layers) {
    const archive = extract();
    const read = pipeline(createReadStream(blobPath(layout, digest)), createGunzip(), archive);
    for await (const member of archive) {
      const { name, type } = member.header;
      if (type === 'file' && wanted(name)) found.set(name, await buffer(member));
      else member.resume();
    }
    await read;
  }
  return found;
}

/** e_machine of an ELF file as `readelf` would print it; undefined for another file. */
async function machineOf(file: string): Promise<string | undefined> {
  const bytes = await readFile(file);
  if (bytes.toString('latin1', 0, 4) !== '\x7fELF') return undefined;
  return { 62: 'amd64', 183: 'arm64' }[bytes.readUInt16LE(18)] ?? `machine ${String(bytes.readUInt16LE(18))}`;
}

/** Programs and libraries below a folder, with the processor that they are for. */
export async function nativeFiles(root: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    // Sources are not worth reading.
    if (!entry.isFile() || /\.(js|json|mjs|cjs|md|yaml|proto|wasm)$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const machine = await machineOf(path);
    if (machine !== undefined) found.set(path.slice(root.length + 1), machine);
  }
  return found;
}
