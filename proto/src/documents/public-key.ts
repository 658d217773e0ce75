import { z } from 'zod';

/** Standard base64 of 32 bytes, with the two unused bits of the last digit zero. */
const PUBLIC_KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

export const publicKeySchema = z
  .string()
  .regex(PUBLIC_KEY, 'not an Ed25519 public key; give its 32 bytes in base64 (44 characters)')
  .describe('Ed25519 public key, 32 bytes in base64.');
