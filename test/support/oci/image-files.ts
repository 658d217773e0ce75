import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

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

/** What tar says of a layer's members, in their order. */
export async function listLayer(layout: string, layer: Descriptor): Promise<readonly TarLine[]> {
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
