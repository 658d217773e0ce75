import { z } from 'zod';

/**
 * The version of the rows that trained an update: HMAC-SHA256 under a secret of the site, so that only the site can tell
 * which rows it stands for. Equal versions of one site mean equal rows.
 */
export const dataVersionSchema = z
  .string()
  .regex(/^hmac-sha256:[0-9a-f]{64}$/, 'not a data version; hmac-sha256: and 64 hex digits');
