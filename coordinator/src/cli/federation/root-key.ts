import { randomBytes, scryptSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import {
  decodeBase64,
  encodeBase64,
  isJsonObject,
  isName,
  openBytes,
  requireFormat,
  sealBytes,
  signingKeyFromSeed,
  TributaryError,
  type JsonValue,
  type SigningKey,
} from '@tributary/proto';
import { z } from 'zod';

import { read, requireAbsent, writeJson } from './files.js';

/** Newest layout of a key file that this build reads and writes. */
const KEY_FORMAT = 1;

/** 128 MiB and about half a second for each guess (RFC 7914). */
const SCRYPT = Object.freeze({ n: 131_072, r: 8, p: 1 });
const SALT_BYTES = 32;

const outline = { formatVersion: z.literal(KEY_FORMAT), name: z.string().refine(isName), key: z.string() };
const keyFileSchema = z.union([
  z.strictObject({ ...outline, seed: z.string() }),
  z.strictObject({
    ...outline,
    /** What makes the sealing key of the passphrase; a file with dearer numbers is refused, not computed. */
    scrypt: z.strictObject({
      n: z.int().min(1_024).max(1_048_576),
      r: z.int().min(1).max(32),
      p: z.int().min(1).max(16),
      salt: z.string(),
    }),
    /** The seed, sealed. */
    sealed: z.string(),
  }),
]);
const publicKeyFileSchema = z.strictObject(outline);

/** The public half of a key that signs rosters, and who holds it. */
export interface HeldKey {
  readonly name: string;
  /** Standard base64 of 32 bytes. */
  readonly key: string;
}

export interface RootKey extends HeldKey {
  readonly signing: SigningKey;
}

/** Makes a key and writes it, sealed where there is a passphrase, readable to its owner only. Rejects with ALREADY_EXISTS. */
export async function createRootKey(
  path: string,
  name: string,
  passphraseFile: string | undefined,
): Promise<HeldKey> {
  await requireAbsent(path);
  const passphrase = await readPassphrase(passphraseFile);
  const seed = new Uint8Array(randomBytes(32));
  const key = encodeBase64(signingKeyFromSeed(seed).publicKey);
  const said = { formatVersion: KEY_FORMAT, name, key };
  await writeJson(
    path,
    passphrase === undefined
      ? { ...said, seed: encodeBase64(seed) }
      : { ...said, ...sealed(seed, key, passphrase) },
  );
  return { name, key };
}

/** Reads a key that {@link createRootKey} wrote. Rejects with CONFIG_INVALID, SEAL_BROKEN, FORMAT_UNSUPPORTED. */
export async function readRootKey(path: string, passphraseFile: string | undefined): Promise<RootKey> {
  const file = await read(path, parseKeyFile);
  const seed =
    'seed' in file ? decodeBase64(file.seed, 'seed', 32) : await opened(path, file, passphraseFile);
  const signing = signingKeyFromSeed(seed);
  if (encodeBase64(signing.publicKey) !== file.key)
    throw new TributaryError('CONFIG_INVALID', `${path}: the key does not belong to its public half`);
  return { name: file.name, key: file.key, signing };
}

/** Writes what others put into their root: name and public half. */
export async function writePublicKey(path: string, { name, key }: HeldKey): Promise<void> {
  await requireAbsent(path);
  await writeJson(path, { formatVersion: KEY_FORMAT, name, key });
}

/** The key that somebody else holds: a .pub file, or a key file of which only the public half is taken. */
export async function readPublicKey(path: string): Promise<HeldKey> {
  const { name, key } = await read(path, (value) => {
    const known = publicKeyFileSchema.safeParse(value);
    return known.success ? known.data : parseKeyFile(value);
  });
  return { name, key };
}

type KeyFile = z.output<typeof keyFileSchema>;
type SealedKeyFile = Exclude<KeyFile, { readonly seed: string }>;

function parseKeyFile(value: JsonValue): KeyFile {
  if (isJsonObject(value)) requireFormat(value['formatVersion'], 'the key file', KEY_FORMAT);
  const parsed = keyFileSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  // What was parsed may hold the seed: nothing of it is repeated.
  throw new TributaryError('CONFIG_INVALID', 'not a key file of this version', {
    hint: 'name a file that `tributary federation key` or `init` wrote',
  });
}

/** The name of the content is the public half: a seed of another key does not open in this file. */
const contentName = (key: string): string => `federation-root/${key}`;

function sealed(seed: Uint8Array, key: string, passphrase: Uint8Array) {
  const salt = new Uint8Array(randomBytes(SALT_BYTES));
  const scrypt = { ...SCRYPT, salt: encodeBase64(salt) };
  const bytes = sealBytes({ key: derived(passphrase, scrypt), name: contentName(key) }, seed);
  return { scrypt, sealed: encodeBase64(bytes) };
}

async function opened(
  path: string,
  file: SealedKeyFile,
  passphraseFile: string | undefined,
): Promise<Uint8Array> {
  const passphrase = await readPassphrase(passphraseFile);
  if (passphrase === undefined) {
    throw new TributaryError('CONFIG_INVALID', `${path}: the key is sealed with a passphrase`, {
      hint: 'name the file that holds it with --key-passphrase-file',
    });
  }
  const key = derived(passphrase, file.scrypt);
  try {
    return openBytes({ key, name: contentName(file.key) }, decodeBase64(file.sealed, 'sealed'));
  } catch (cause) {
    throw new TributaryError('SEAL_BROKEN', `${path} does not open: another passphrase, or an altered file`, {
      cause,
      hint: 'check the file that --key-passphrase-file names',
    });
  }
}

function derived(passphrase: Uint8Array, { n, r, p, salt }: SealedKeyFile['scrypt']): Uint8Array {
  const maxmem = 2 * 128 * n * r;
  return new Uint8Array(
    scryptSync(passphrase, decodeBase64(salt, 'salt', SALT_BYTES), 32, { N: n, r, p, maxmem }),
  );
}

/** The bytes of the file without the line end that editors add. */
async function readPassphrase(path: string | undefined): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', `--key-passphrase-file: ${path} cannot be read`, { cause });
  }
  const passphrase = text.replace(/\r?\n$/, '');
  if (passphrase !== '') return new TextEncoder().encode(passphrase.normalize('NFKC'));
  throw new TributaryError('CONFIG_INVALID', `--key-passphrase-file: ${path} is empty`);
}
