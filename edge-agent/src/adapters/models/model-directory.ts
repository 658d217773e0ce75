import { createReadStream } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeBase64, digestOf, encodeBase64, requireFormat, TributaryError } from '@tributary/proto';
import { isTemporaryName, makeDirectory, syncDirectory, writeDurably } from '@tributary/proto/node';
import { z } from 'zod';

import type { ModelPointers, ModelRef, ModelStore, NewModel, StoredModel } from '../../serving-ports.js';
import { fileError } from '../files/file-error.js';
import { requirePointed, sameBytes, stillPointedAt, unknownVersion, versionInUse } from './model-rules.js';
import { readManifest, verifiedChunks, verifiedModel } from './verified-model.js';

const FORMAT_VERSION = 1;
const SIGNATURE_BYTES = 64;
const POINTERS = 'pointers.json';

const version = z.int().min(1);
const pointersSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  current: version.optional(),
  lastGood: version.optional(),
});
const signatureSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  signature: z.string(),
  /** Of the manifest whose signature was checked when it was put; not there in versions put by builds of before. */
  manifestDigest: z.string().optional(),
});

/**
 * Versions as files: `<model>/<version>/` with weights.f32, signature.json and, last, manifest.json, without which a
 * version is not there; `<model>/pointers.json` beside them.
 */
export class ModelDirectory implements ModelStore {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Makes the directory where it is missing, and removes what a crash left half-written. */
  static async open(root: string): Promise<ModelDirectory> {
    await makeDirectory(root);
    for (const name of await readdir(root, { recursive: true }))
      if (isTemporaryName(name)) await rm(join(root, name), { force: true });
    return new ModelDirectory(root);
  }

  async put({ manifestBytes, signature, weights }: NewModel): Promise<ModelRef> {
    const manifest = readManifest(manifestBytes, 'the manifest');
    const ref = { name: manifest.name, version: manifest.version };
    const folder = this.#folder(ref);
    const present = await readOptional(join(folder, 'manifest.json'));
    if (present !== undefined) {
      // Present bytes may have rotted: the same version, put again, mends them.
      if (!sameBytes(present, manifestBytes)) {
        if (await this.#isPut(folder, present)) throw versionInUse(ref);
      } else if (await this.#isWhole(ref)) return ref;
    }
    await makeDirectory(folder);
    await writeDurably(join(folder, 'weights.f32'), verifiedChunks(weights, manifest, 'the weights'));
    await writeJson(join(folder, 'signature.json'), {
      formatVersion: FORMAT_VERSION,
      signature: encodeBase64(signature),
      manifestDigest: digestOf(manifestBytes),
    });
    await writeDurably(join(folder, 'manifest.json'), [manifestBytes]);
    return ref;
  }

  async open(ref: ModelRef): Promise<StoredModel> {
    const folder = this.#folder(ref);
    const manifestFile = join(folder, 'manifest.json');
    const manifestBytes = await readOptional(manifestFile);
    if (manifestBytes === undefined) throw unknownVersion(ref);
    const signatureFile = join(folder, 'signature.json');
    const { signature, manifestDigest } = await readJson(signatureFile, signatureSchema);
    requireDigest(manifestBytes, manifestDigest, manifestFile);
    const weightsFile = join(folder, 'weights.f32');
    const model = await verifiedModel(manifestBytes, fileChunks(weightsFile), {
      manifest: manifestFile,
      weights: weightsFile,
    });
    if (model.manifest.name !== ref.name || model.manifest.version !== ref.version)
      throw new TributaryError('STORE_CORRUPT', `${manifestFile}: this is the manifest of another version`);
    return { ...model, signature: signatureOf(signature, signatureFile) };
  }

  async list(): Promise<readonly ModelRef[]> {
    const found: ModelRef[] = [];
    for (const name of await names(this.#root))
      for (const entry of await names(join(this.#root, name))) {
        const ref = { name, version: Number(entry) };
        if (/^[1-9]\d*$/.test(entry) && (await readOptional(join(this.#folder(ref), 'manifest.json'))))
          found.push(ref);
      }
    return found.sort((a, b) => (a.name === b.name ? a.version - b.version : a.name < b.name ? -1 : 1));
  }

  async pointers(name: string): Promise<ModelPointers> {
    const path = join(this.#root, safe(name), POINTERS);
    if ((await readOptional(path)) === undefined) return {};
    const { current, lastGood } = await readJson(path, pointersSchema);
    return { ...(current !== undefined && { current }), ...(lastGood !== undefined && { lastGood }) };
  }

  async point(name: string, pointers: ModelPointers): Promise<void> {
    await requirePointed(this, name, pointers);
    const { current, lastGood } = pointers;
    await makeDirectory(join(this.#root, safe(name)));
    await writeJson(join(this.#root, safe(name), POINTERS), {
      formatVersion: FORMAT_VERSION,
      ...(current !== undefined && { current }),
      ...(lastGood !== undefined && { lastGood }),
    });
  }

  async remove(ref: ModelRef): Promise<void> {
    const { current, lastGood } = await this.pointers(ref.name);
    if (current === ref.version || lastGood === ref.version) throw stillPointedAt(ref);
    const folder = this.#folder(ref);
    try {
      // Without its manifest the version is gone, whatever a crash leaves of the rest.
      await rm(join(folder, 'manifest.json'), { force: true });
      await rm(folder, { recursive: true, force: true });
      await syncDirectory(join(this.#root, safe(ref.name)));
    } catch (error) {
      const known = fileError(error, folder);
      if (known.code !== 'NOT_FOUND') throw known;
    }
  }

  #isWhole(ref: ModelRef): Promise<boolean> {
    return isUndamaged(() => this.open(ref));
  }

  /** Whether a manifest is the one that was put here. */
  #isPut(folder: string, manifest: Uint8Array): Promise<boolean> {
    return isUndamaged(async () => {
      const path = join(folder, 'signature.json');
      requireDigest(manifest, (await readJson(path, signatureSchema)).manifestDigest, path);
    });
  }

  #folder({ name, version }: ModelRef): string {
    if (!Number.isSafeInteger(version) || version < 1) throw unknownVersion({ name, version });
    return join(this.#root, safe(name), String(version));
  }
}

async function isUndamaged(read: () => Promise<unknown>): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    if (['STORE_CORRUPT', 'NOT_FOUND'].includes(TributaryError.from(error).code)) return false;
    throw error;
  }
}

/**
 * A flipped bit may leave a manifest that reads well and scales a feature wrongly. Throws STORE_CORRUPT where the bytes are
 * not those of the digest.
 */
function requireDigest(manifest: Uint8Array, digest: string | undefined, path: string): void {
  if (digest === undefined || digest === digestOf(manifest)) return;
  throw new TributaryError('STORE_CORRUPT', `${path}: not the manifest whose signature was checked`, {
    hint: 'fetch or export the version again',
  });
}

/** Names come from manifests and from requests: one that no document can have is nobody's model. */
function safe(name: string): string {
  if (/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(name)) return name;
  throw new TributaryError('NOT_FOUND', 'the site has no model of that name');
}

async function names(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function readOptional(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    const known = fileError(error, path);
    if (known.code === 'NOT_FOUND') return undefined;
    throw known;
  }
}

async function* fileChunks(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) yield chunk;
  } catch (error) {
    const known = fileError(error, path);
    if (known.code !== 'NOT_FOUND') throw known;
    throw new TributaryError('STORE_CORRUPT', `${path}: does not exist`, { cause: error });
  }
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const bytes = await readOptional(path);
  let value: unknown;
  try {
    value = bytes === undefined ? undefined : JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    value = undefined;
  }
  const format = (value as { readonly formatVersion?: unknown } | null | undefined)?.formatVersion;
  if (typeof format === 'number') requireFormat(format, path, FORMAT_VERSION);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TributaryError('STORE_CORRUPT', `${path}: not what the store wrote`);
}

function signatureOf(text: string, path: string): Uint8Array {
  try {
    return decodeBase64(text, 'signature', SIGNATURE_BYTES);
  } catch (error) {
    throw new TributaryError('STORE_CORRUPT', `${path}: not a signature`, { cause: error });
  }
}

const writeJson = (path: string, value: unknown): Promise<void> =>
  writeDurably(path, [new TextEncoder().encode(`${JSON.stringify(value)}\n`)]);
