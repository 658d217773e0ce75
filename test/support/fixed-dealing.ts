import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

/** What Shamir's library asks for: the order of 255 places, and the coefficients of one byte of a small threshold. */
const PLACES = 255;
const COEFFICIENTS = 5;

/**
 * Runs `work` while all shares are dealt with the same coefficients and places: the one draw of a secure round that comes
 * after its secrets were stored, so that a site which plays its recorded part deals what it dealt then.
 */
export async function withFixedDealing<T>(work: () => Promise<T>): Promise<T> {
  const original = crypto.randomBytes;
  const fixed = (size: number): Buffer =>
    size <= COEFFICIENTS || size === PLACES
      ? // The library takes the whole memory behind the buffer.
        Buffer.from(Uint8Array.from({ length: size }, (_, index) => index + 1).buffer)
      : original(size);
  crypto.randomBytes = fixed as typeof original;
  syncBuiltinESMExports();
  try {
    return await work();
  } finally {
    crypto.randomBytes = original;
    syncBuiltinESMExports();
  }
}
