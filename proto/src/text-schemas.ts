import { z } from 'zod';

import { decodeBase64 } from './byte-text.js';
import { isDigest, type Digest } from './ids.js';

export const digestSchema = z.custom<Digest>(
  (value) => typeof value === 'string' && isDigest(value),
  'not a digest',
);

/** Standard base64 of exactly `length` bytes. */
export const base64Schema = (length: number) =>
  z.string().refine(
    (text) => {
      try {
        decodeBase64(text, '', length);
        return true;
      } catch {
        return false;
      }
    },
    `not base64 of ${String(length)} bytes`,
  );
