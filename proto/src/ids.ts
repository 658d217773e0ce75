import { TributaryError } from './errors/tributary-error.js';
import { LIMITS } from './limits.js';

const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const ID = /^[a-z]{2,4}-[0-9a-f]{32}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Prefixes of ids: what an id names can be read off it. */
export type IdPrefix = 'agt' | 'job' | 'tok' | 'upl' | 'ord' | 'fed' | 'ctx' | 'rol';

/** "sha256:" and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;

/** Names of objects: DNS label style (RFC 1123) with dots allowed, 1 to 63 characters. */
export function isName(value: string): boolean {
  return value.length <= LIMITS.nameLength && NAME.test(value) && !value.includes('..');
}

/** Checks a name from outside; throws INVALID_ARGUMENT naming `field`. */
export function requireName(value: string, field: string): string {
  if (isName(value)) return value;
  throw new TributaryError(
    'INVALID_ARGUMENT',
    `${field}: a name has 1 to ${String(LIMITS.nameLength)} characters a-z 0-9 - . and begins and ends with a letter or digit`,
    { fields: { field } },
  );
}

/** An id from 16 random bytes, drawn by the caller (domain code receives ids in events). */
export function formatId(prefix: IdPrefix, random: Uint8Array): string {
  if (random.length !== 16) throw new TributaryError('INTERNAL', 'an id takes 16 random bytes');
  return `${prefix}-${Buffer.from(random).toString('hex')}`;
}

/** True for an id of that kind. */
export function isId(value: string, prefix: IdPrefix): boolean {
  return ID.test(value) && value.startsWith(`${prefix}-`);
}

/** Checks an id from outside; throws INVALID_ARGUMENT naming `field`. */
export function requireId(value: string, prefix: IdPrefix, field: string): string {
  if (isId(value, prefix)) return value;
  throw new TributaryError('INVALID_ARGUMENT', `${field}: not an id of the form ${prefix}-<32 hex digits>`, {
    fields: { field },
  });
}

export function isDigest(value: string): value is Digest {
  return DIGEST.test(value);
}

/** Checks a digest from outside; throws INVALID_ARGUMENT naming `field`. */
export function requireDigest(value: string, field: string): Digest {
  if (isDigest(value)) return value;
  throw new TributaryError('INVALID_ARGUMENT', `${field}: not a digest of the form sha256:<64 hex digits>`, {
    fields: { field },
  });
}
