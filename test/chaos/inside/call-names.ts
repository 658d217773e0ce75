import { basename, dirname } from 'node:path';

/** What differs from one run, job or site to the next: ids, digests, random names, numbers. */
const PASSING = /[a-z]{3}-[0-9a-f]{32}|[0-9a-f]{12,}|[0-9]+|\b(?:east|north|west)\b/g;

/** What kind of a thing a name is of. */
export const kindOf = (name: string): string => name.replace(PASSING, '#').replace(/[^\w#.+=/-]/g, '_');

/** A file by its folder and what kind of a file it is; a directory by its name. */
export const fileKind = (path: string): string => kindOf(`${basename(dirname(path))}/${basename(path)}`);

/** The keys of a store that are set and deleted (a value of undefined) together, each by its kind, once. */
export function keyKinds(changes: readonly (readonly [key: string, value: unknown])[]): string {
  const kinds = changes.map(([key, value]) => {
    const end = key.indexOf('/');
    return `${value === undefined ? '-' : ''}${kindOf(end < 0 ? key : key.slice(0, end))}`;
  });
  return [...new Set(kinds)].sort().join('+');
}

/** The types of encoded entries of the ledger that are appended together, in order. */
export const entryTypes = (entries: readonly Uint8Array[]): string =>
  entries
    .map((bytes) => kindOf((JSON.parse(Buffer.from(bytes).toString('utf8')) as { readonly type: string }).type))
    .join('+');
