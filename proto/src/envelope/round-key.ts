import nacl from 'tweetnacl';

import { x25519PublicKey, x25519Shared } from '../sealing/x25519.js';

/*
 * nacl.box is X25519, HSalsa20 and nacl.secretbox. The first takes tweetnacl a millisecond and more, and OpenSSL a
 * twentieth of that for the same bytes (RFC 7748); OpenSSL has no Salsa20, so the rest stays tweetnacl's.
 */

/** The key pair of a round, Curve25519: content keys of envelopes are sealed to its public half. */
export interface RoundKeyPair {
  /** 32 bytes; in the "round.opened" entry. */
  readonly publicKey: Uint8Array;
  /** 32 bytes; kept sealed until the round is settled. */
  readonly secretKey: Uint8Array;
}

/** The key pair of 32 random bytes. */
export function roundKeyPair(secretKey: Uint8Array): RoundKeyPair {
  return { publicKey: x25519PublicKey(secretKey), secretKey: plain(secretKey) };
}

/**
 * Seals a content key with nacl.box (X25519, XSalsa20-Poly1305): 16 bytes longer. Throws where `roundKey` is one of the
 * points of small order, which no secret key has.
 */
export function sealContentKey(
  contentKey: Uint8Array,
  nonce: Uint8Array,
  roundKey: Uint8Array,
  ephemeralSecret: Uint8Array,
): Uint8Array {
  return nacl.secretbox(plain(contentKey), plain(nonce), boxKey(roundKey, ephemeralSecret));
}

/**
 * Opens a sealed content key, or undefined where it was sealed to another key or altered, or comes from a point of small
 * order: its secret would be known to everybody (RFC 7748, 6.1).
 */
export function openContentKey(
  sealedKey: Uint8Array,
  nonce: Uint8Array,
  ephemeralKey: Uint8Array,
  roundSecret: Uint8Array,
): Uint8Array | undefined {
  let key: Uint8Array;
  try {
    key = boxKey(ephemeralKey, roundSecret);
  } catch {
    return undefined;
  }
  return nacl.secretbox.open(plain(sealedKey), plain(nonce), key) ?? undefined;
}

/** tweetnacl's declarations leave out its low-level functions. */
interface LowLevel {
  crypto_core_hsalsa20(out: Uint8Array, input: Uint8Array, key: Uint8Array, constant: Uint8Array): void;
}

const { lowlevel } = nacl as unknown as { readonly lowlevel: LowLevel };
const ZEROS = new Uint8Array(16);
const SIGMA = new TextEncoder().encode('expand 32-byte k');

/** The key of nacl.box between two parties: nacl.box.before, byte for byte. */
function boxKey(publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array {
  const shared = x25519Shared(publicKey, secretKey);
  const key = new Uint8Array(nacl.secretbox.keyLength);
  lowlevel.crypto_core_hsalsa20(key, ZEROS, shared, SIGMA);
  shared.fill(0);
  return key;
}

/** tweetnacl's own checks want a Uint8Array of their realm, not a pooled Buffer. */
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);
