/*
 * Keys of the ledger's database. Numbers have 16 digits, which hold every safe integer, so that keys sort as numbers do.
 *   e/<seq>            canonical bytes of an entry
 *   n/<level>/<index>  RFC 6962 hash of a complete subtree; level 0 are the leaves
 *   s/<size>           snapshot of the fold after `size` entries
 *   w/<site>           the newest head that a site signed
 *   m/format           JSON {formatVersion, marked: whether a high-water mark lies beside the database}
 *   m/cosigned         JSON: how many of w/ there are
 */

export const FORMAT_KEY = 'm/format';
export const COSIGNED_KEY = 'm/cosigned';

const digits = (value: number): string => value.toString().padStart(16, '0');

export const entryKey = (seq: number): string => `e/${digits(seq)}`;
export const nodeKey = (level: number, index: number): string =>
  `n/${level.toString().padStart(2, '0')}/${digits(index)}`;
export const cosignatureKey = (site: string): string => `w/${site}`;
export const snapshotKey = (size: number): string => `s/${digits(size)}`;

/** Bounds of everything of one kind: '0' follows '/' in ASCII. */
export const kindRange = (kind: 'e' | 'n' | 's' | 'w'): { readonly gte: string; readonly lt: string } => ({
  gte: `${kind}/`,
  lt: `${kind}0`,
});

/** The number at the end of a key. */
export const numberOf = (key: string): number => Number(key.slice(key.lastIndexOf('/') + 1));
