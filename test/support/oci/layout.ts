import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A descriptor of the OCI image specification. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly architecture: string; readonly os: string };
}
export interface ImageIndex {
  readonly manifests: readonly Descriptor[];
}
export interface ImageManifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly artifactType?: string;
}
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir?: string;
    readonly Labels: Readonly<Record<string, string>>;
    readonly Volumes: Readonly<Record<string, unknown>>;
    readonly ExposedPorts: Readonly<Record<string, unknown>>;
  };
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

/** Where the content of a digest lies in a layout. */
export const blobPath = (layout: string, digest: string): string =>
  join(layout, 'blobs', ...digest.split(':'));

/** The content of a descriptor; rejects where it is not what the descriptor says. */
export async function readBlob(layout: string, { digest, size }: Descriptor): Promise<Buffer> {
  const bytes = await readFile(blobPath(layout, digest));
  const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (found !== digest || bytes.length !== size) throw new Error(`${digest} holds ${found}`);
  return bytes;
}

export const readJson = async <T>(layout: string, descriptor: Descriptor): Promise<T> =>
  JSON.parse((await readBlob(layout, descriptor)).toString()) as T;

export const layoutIndex = async (layout: string): Promise<ImageIndex> =>
  JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as ImageIndex;

/** The descriptor of the image itself, for all its platforms. */
export async function imageIndex(layout: string): Promise<Descriptor> {
  const { manifests } = await layoutIndex(layout);
  const found = manifests.filter(({ mediaType }) => mediaType === INDEX_TYPE);
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${layout}: ${String(found.length)} images`);
  return first;
}

/** One descriptor per platform. */
export async function platformManifests(layout: string): Promise<readonly Descriptor[]> {
  return (await readJson<ImageIndex>(layout, await imageIndex(layout))).manifests;
}
