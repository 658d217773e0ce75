import { randomFillSync } from 'node:crypto';

import type { Random } from '../../ports.js';

/** The cryptographic generator of the machine. */
export const systemRandom: Random = { bytes: (length) => randomFillSync(new Uint8Array(length)) };
