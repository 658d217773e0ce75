import { timingSafeEqual } from 'node:crypto';

import { sha256, TributaryError } from '@tributary/proto';

/** Characters of a bearer token, at least: 128 bits in hex or base64. */
export const MIN_TOKEN = 16;

/** Throws UNAUTHENTICATED unless `header` is that of the token; anyone may come in where there is none. */
export function requireToken(header: string | undefined, token: string | undefined): void {
  if (token === undefined) return;
  const digest = (text: string): Uint8Array => sha256(new TextEncoder().encode(text));
  if (timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`))) return;
  throw new TributaryError(
    'UNAUTHENTICATED',
    'give the token of the endpoint as "authorization: Bearer ..."',
  );
}
