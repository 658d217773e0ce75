import { randomBytes } from 'node:crypto';

import type { Random } from '../../ports.js';

/** The cryptographic generator of the operating system. */
export function systemRandom(): Random {
  return { bytes: (length) => new Uint8Array(randomBytes(length)) };
}
