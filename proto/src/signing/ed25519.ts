import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

import { TributaryError } from '../errors/tributary-error.js';
import { requireLength } from '../byte-text.js';
import { LIMITS } from '../limits.js';

/** Bytes of an Ed25519 seed, public key and signature (RFC 8032). */
export const ED25519 = Object.freeze({ seedBytes: 32, publicKeyBytes: 32, signatureBytes: 64 });

/** DER of everything before the 32 raw bytes: PKCS #8 and SPKI of RFC 8410. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** A key pair that signs. The seed stays inside. */
export interface SigningKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64-byte signature over `message` (RFC 8032, pure Ed25519), the same bytes as tweetnacl's. */
  sign(message: Uint8Array): Uint8Array;
}

/** The key pair of a 32-byte seed; the same one that `nacl.sign.keyPair.fromSeed` makes. */
export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  requireLength(seed, ED25519.seedBytes, 'seed');
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return {
    publicKey: new Uint8Array(spki.subarray(SPKI_PREFIX.length)),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}

/**
 * True where `signature` is `publicKey`'s over `message`. Malformed keys and signatures are false, never an error.
 * Stricter than tweetnacl in one place: a signature whose scalar is not reduced (RFC 8032, 5.1.7) is false.
 */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== ED25519.publicKeyBytes || signature.length !== ED25519.signatureBytes)
    return false;
  try {
    return verify(null, message, publicKeyObject(publicKey), signature);
  } catch {
    return false;
  }
}

/** Throws SIGNATURE_INVALID, naming `what` was signed, unless the signature verifies. */
export function requireSignature(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  what: string,
): void {
  if (verifySignature(publicKey, message, signature)) return;
  throw new TributaryError(
    'SIGNATURE_INVALID',
    `the signature of ${what} does not match its content and key`,
  );
}

/** Importing a raw key costs 15 times a verification, so imported keys are kept, the least recently used dropped. */
const imported = new Map<string, KeyObject>();

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  const name = Buffer.from(publicKey).toString('latin1');
  let key = imported.get(name);
  imported.delete(name);
  key ??= createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
  imported.set(name, key);
  if (imported.size > LIMITS.agents) imported.delete(imported.keys().next().value ?? '');
  return key;
}
