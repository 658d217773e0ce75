import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';

import { requireLength } from '../byte-text.js';

/** Bytes of an X25519 secret, public key and shared secret (RFC 7748). */
export const X25519_BYTES = 32;

/** DER of everything before the 32 raw bytes: PKCS #8 of RFC 8410. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** The public key of 32 secret bytes. */
export function x25519PublicKey(secretKey: Uint8Array): Uint8Array {
  requireLength(secretKey, X25519_BYTES, 'X25519 secret');
  const { x = '' } = createPublicKey(privateKeyObject(secretKey)).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(x, 'base64url'));
}

/**
 * The shared secret of two parties, 32 bytes. Throws where the public key is one of the points of small order: its
 * secret would be known to everybody (RFC 7748, 6.1).
 */
export function x25519Shared(publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array {
  return new Uint8Array(
    diffieHellman({
      publicKey: publicKeyObject(requireLength(publicKey, X25519_BYTES, 'X25519 public key')),
      privateKey: privateKeyObject(requireLength(secretKey, X25519_BYTES, 'X25519 secret')),
    }),
  );
}

/**
 * Imported secret keys: an import costs four times what it is used for, and every envelope of a round needs the same one.
 * An entry goes with the bytes that it was made of, which nobody changes before they are of no more use.
 */
const imported = new WeakMap<Uint8Array, KeyObject>();

function privateKeyObject(secretKey: Uint8Array): KeyObject {
  const known = imported.get(secretKey);
  if (known !== undefined) return known;
  const der = Buffer.concat([PKCS8_PREFIX, secretKey]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  imported.set(secretKey, key);
  return key;
}

/** As a JWK (RFC 8037): six times as fast as from DER. */
function publicKeyObject(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
}
