import { createHash } from 'node:crypto';
import { copyFile, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { partOf } from './part.js';

/** Media types of the OCI image specification, 1.1. */
export const TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  empty: 'application/vnd.oci.empty.v1+json',
} as const;

/** Annotations by which tools find an image in a layout: the tag for most, the whole name for containerd. */
export const REF_NAME = 'org.opencontainers.image.ref.name';
export const IMAGE_NAME = 'io.containerd.image.name';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly platform?: { readonly architecture: string; readonly os: string };
  readonly annotations?: Readonly<Record<string, string>>;
}
export interface Index {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
}
export interface Manifest {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** A folder as the OCI image layout specification has it. */
export class Layout {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Begins an empty one, or goes on with blobs that are there. */
  async begin(): Promise<void> {
    await mkdir(join(this.folder, 'blobs/sha256'), { recursive: true });
    await writeFile(join(this.folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  }

  /** Throws where a digest could name a file elsewhere. */
  pathOf(digest: string): string {
    if (!DIGEST.test(digest)) throw new Error(`${JSON.stringify(digest)} is not a SHA-256 digest`);
    return join(this.folder, 'blobs/sha256', digest.slice('sha256:'.length));
  }

  async put(mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
    const digest = digestOf(bytes);
    await this.#whole(digest, (part) => writeFile(part, bytes));
    return { mediaType, digest, size: bytes.length };
  }

  putJson(mediaType: string, value: unknown): Promise<Descriptor> {
    return this.put(mediaType, Buffer.from(JSON.stringify(value)));
  }

  /** A file that has this digest; shares the disk's space where it can. */
  async putFile(descriptor: Descriptor, file: string): Promise<Descriptor> {
    await this.#whole(descriptor.digest, (part) => link(file, part).catch(() => copyFile(file, part)));
    return descriptor;
  }

  /** A blob is there whole or not at all. */
  async #whole(digest: string, write: (part: string) => Promise<void>): Promise<void> {
    const path = this.pathOf(digest);
    const part = partOf(this.folder);
    try {
      await write(part);
      await rename(part, path);
    } finally {
      await rm(part, { force: true });
    }
  }

  /** Rejects where the blob is missing or is not what the descriptor says. */
  async read({ digest, size }: Descriptor): Promise<Buffer> {
    const bytes = await readFile(this.pathOf(digest));
    const found = digestOf(bytes);
    if (found !== digest || bytes.length !== size)
      throw new Error(`blob ${digest} of ${String(size)} bytes is ${found} of ${String(bytes.length)}`);
    return bytes;
  }

  async readJson<T>(descriptor: Descriptor): Promise<T> {
    return JSON.parse((await this.read(descriptor)).toString()) as T;
  }

  async index(): Promise<Index> {
    return JSON.parse(await readFile(join(this.folder, 'index.json'), 'utf8')) as Index;
  }

  async setManifests(manifests: readonly Descriptor[]): Promise<void> {
    const file = join(this.folder, 'index.json');
    await writeFile(`${file}.part`, JSON.stringify(indexOf(manifests)));
    await rename(`${file}.part`, file);
  }

  /** The image for all its platforms; rejects where there is not exactly one. */
  async image(): Promise<Descriptor> {
    const found = (await this.index()).manifests.filter(({ mediaType }) => mediaType === TYPES.index);
    const [first] = found;
    if (first === undefined || found.length > 1)
      throw new Error(`${this.folder}: ${String(found.length)} images instead of one`);
    return first;
  }

  /** Every blob that a descriptor leads to, itself first, each read and held against its digest. */
  async closure(descriptor: Descriptor): Promise<readonly Descriptor[]> {
    const bytes = await this.read(descriptor);
    const parts =
      descriptor.mediaType === TYPES.index
        ? (JSON.parse(bytes.toString()) as Index).manifests
        : descriptor.mediaType === TYPES.manifest
          ? partsOf(JSON.parse(bytes.toString()) as Manifest)
          : [];
    const below: Descriptor[] = [];
    for (const part of parts) below.push(...(await this.closure(part)));
    return [descriptor, ...below];
  }
}

const partsOf = ({ config, layers }: Manifest): readonly Descriptor[] => [config, ...layers];

export const indexOf = (manifests: readonly Descriptor[]): Index => ({
  schemaVersion: 2,
  mediaType: TYPES.index,
  manifests,
});
