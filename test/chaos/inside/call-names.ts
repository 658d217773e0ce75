import { basename, dirname } from 'node:path';

/** What differs from one run, job or site to the next: ids, digests, random names, numbers. */
const PASSING = /[a-z]{3}-[0-9a-f]{32}|[0-9a-f]{12,}|[0-9]+|\b(?:east|north|west)\b/g;
/** Blobs lie in folders by the first byte of their digest. */
const SHARD = /(\/blobs)\/[0-9a-f]{2}(?=\/|$)/;

/** What kind of a thing a name is of; of letters that need no quotes in a shell, and neither colon nor comma. */
export const kindOf = (name: string): string => name.replace(PASSING, '#').replace(/[^\w#.+=/-]/g, '_');

/** A file or a folder by the folder that it is in, and what kind of one it is. */
export function fileKind(path: string): string {
  const folders = path.replace(SHARD, '$1/shard');
  return kindOf(`${basename(dirname(folders))}/${basename(folders)}`);
}

/** Records that are written now and then, alone or together with others that come at the same time: heads, counts. */
const PASSING_BY = ['_tally', 'egress', 'tree-head', 'w'];

/** The keys of a store that are set and deleted (a value of undefined) together, each by its kind, once; undefined for none. */
export function keyKinds(changes: readonly (readonly [key: string, value: unknown])[]): string | undefined {
  if (changes.length === 0) return undefined;
  const kinds = changes.map(([key, value]) => {
    const end = key.indexOf('/');
    return `${value === undefined ? '-' : ''}${kindOf(end < 0 ? key : key.slice(0, end))}`;
  });
  const own = kinds.filter((kind) => !PASSING_BY.includes(kind));
  return [...new Set(own.length > 0 ? own : kinds.filter((kind) => kind !== '_tally'))].sort().join('+');
}

/** Whether a call is made when there is time for it, rather than in a stage of a job: it tidies up, or keeps count. */
export const isPassing = (method: string, what: string): boolean =>
  /\.(?:delete|remove)$/.test(method) || PASSING_BY.includes(what);

interface Entry {
  readonly type: string;
  readonly body: { readonly stage?: string };
}

/** The types of encoded entries of the ledger that are appended together, in order, and the stages of which they are. */
export function entryKinds(entries: readonly Uint8Array[]): string {
  const kinds = entries.map((bytes) => {
    const { type, body } = JSON.parse(Buffer.from(bytes).toString('utf8')) as Entry;
    return kindOf(body.stage === undefined ? type : `${type}.${body.stage}`);
  });
  return kinds.join('+');
}
