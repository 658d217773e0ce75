import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { requireFormat, TributaryError } from '@tributary/proto';
import { isMissing, makeDirectory, writeDurably } from '@tributary/proto/node';

const FILE = 'format.json';

/**
 * Creates the directory of a store or checks the format of an existing one: `format.json` names the kind of store and its
 * `formatVersion`. Throws FORMAT_UNSUPPORTED for a newer version, STORE_CORRUPT for another kind or an unreadable file.
 */
export async function openDirectoryFormat(
  directory: string,
  kind: string,
  formatVersion: number,
): Promise<void> {
  const path = join(directory, FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!isMissing(error)) throw error;
    await makeDirectory(directory);
    await writeDurably(path, [Buffer.from(`${JSON.stringify({ formatVersion, kind })}\n`)]);
    return;
  }
  requireKind(readFormat(text, path), path, kind, formatVersion);
}

/** Requires a format version that this build reads: FORMAT_UNSUPPORTED for a newer one, STORE_CORRUPT for none. */
export function requireFormatVersion(found: unknown, newest: number, what: string): void {
  requireFormat(found, what, newest);
  if (typeof found === 'number' && Number.isInteger(found) && found >= 1) return;
  throw new TributaryError('STORE_CORRUPT', `${what} names no format version`);
}

function readFormat(text: string, path: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Answered below like any other content that is not an object.
  }
  throw new TributaryError('STORE_CORRUPT', `${path} is not a JSON object`);
}

function requireKind(found: object, path: string, kind: string, formatVersion: number): void {
  requireFormatVersion('formatVersion' in found ? found.formatVersion : undefined, formatVersion, path);
  if ('kind' in found && found.kind === kind) return;
  throw new TributaryError('STORE_CORRUPT', `${path} is not that of ${kind}`);
}
