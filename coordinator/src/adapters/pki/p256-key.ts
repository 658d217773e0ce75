import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  webcrypto,
  type KeyObject,
} from 'node:crypto';

/** ECDSA with P-256 and SHA-256: the one kind of key that certificates of a federation have. */
export const P256 = Object.freeze({ name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' });

/** A new key pair's private half as PKCS #8 (DER). */
export function generateP256(): Uint8Array {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return new Uint8Array(privateKey.export({ format: 'der', type: 'pkcs8' }));
}

/** SubjectPublicKeyInfo (DER) of a PKCS #8 private key. */
export function publicHalf(pkcs8: Uint8Array): Uint8Array {
  const key = createPublicKey(createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }));
  return new Uint8Array(key.export({ format: 'der', type: 'spki' }));
}

export function privateKeyPem(pkcs8: Uint8Array): string {
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** The public key of a SubjectPublicKeyInfo (DER), or undefined where it is not a point of P-256. */
export function p256PublicKey(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    const p256 = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
    return p256 ? key : undefined;
  } catch {
    return undefined;
  }
}

export function importSigningKey(pkcs8: Uint8Array): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', pkcs8, P256, false, ['sign']);
}

export function importVerifyingKey(spki: Uint8Array): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('spki', spki, P256, true, ['verify']);
}
