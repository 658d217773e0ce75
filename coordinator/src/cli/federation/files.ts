import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import {
  encodeRoster,
  parseIdentityStatement,
  parseRoot,
  parseRoster,
  parseRotation,
  TributaryError,
  type FederationRoot,
  type IdentityStatement,
  type JsonValue,
  type SignedRoster,
  type SignedRotation,
} from '@tributary/proto';
import { writeDurably } from '@tributary/proto/node';

/** The root of a roster file, unless another is named: root.json beside it. */
export const rootPath = (named: string | undefined, rosterFile: string): string =>
  named ?? join(dirname(rosterFile), 'root.json');

export const readRootFile = (path: string): Promise<FederationRoot> => read(path, parseRoot);
export const readRosterFile = (path: string): Promise<SignedRoster> => read(path, parseRoster);
export const readRotationFile = (path: string): Promise<SignedRotation> => read(path, parseRotation);
export const readIdentityFile = (path: string): Promise<IdentityStatement> =>
  read(path, parseIdentityStatement);

/** Written for people to read and compare: what is signed is the canonical form, however the file is laid out. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeDurably(path, [new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`)]);
}

/** Refuses what could not be published before it is signed. */
export async function writeRoster(path: string, signed: SignedRoster): Promise<void> {
  encodeRoster(signed);
  await writeJson(path, signed);
}

/** True where there is such a file. */
export async function exists(path: string): Promise<boolean> {
  try {
    await readFile(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw unreadable(path, error);
  }
}

/** A file that must not be there yet: keys and roots are never written over. Rejects with ALREADY_EXISTS. */
export async function requireAbsent(path: string): Promise<void> {
  if (await exists(path))
    throw new TributaryError('ALREADY_EXISTS', `${path} exists; it is not written over`, {
      hint: 'name another folder with --out',
    });
}

/** Reads JSON of one kind; what is wrong with it is said with the name of the file. */
export async function read<T>(path: string, parse: (value: JsonValue) => T): Promise<T> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new TributaryError('ROSTER_INVALID', `${path}: no JSON`, { cause });
  }
  try {
    return parse(value);
  } catch (cause) {
    const { code, message, hint } = TributaryError.from(cause);
    throw new TributaryError(code, `${path}: ${message}`, { cause, ...(hint !== undefined && { hint }) });
  }
}

function unreadable(path: string, cause: unknown): TributaryError {
  return new TributaryError('NOT_FOUND', `${path}: ${isMissing(cause) ? 'no such file' : 'cannot be read'}`, {
    cause,
    hint: 'check the path',
  });
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';
