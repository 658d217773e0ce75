import 'reflect-metadata';

import { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { LIMITS, TributaryError } from '@tributary/proto';

import {
  generateP256,
  importSigningKey,
  importVerifyingKey,
  P256,
  p256PublicKey,
  privateKeyPem,
  publicHalf,
} from './p256-key.js';

/** A new key, and what an authority needs to certify it. */
export interface CertificateRequest {
  /** PKCS #10 (RFC 2986), DER. */
  readonly csr: Uint8Array;
  /** PKCS #8, PEM: stays with whoever asks. */
  readonly privateKeyPem: string;
}

/** Makes a key (ECDSA P-256) and a request for its certificate; the authority decides about names itself. */
export async function createRequest(name: string): Promise<CertificateRequest> {
  const privateKey = generateP256();
  const [signing, verifying] = await Promise.all([
    importSigningKey(privateKey),
    importVerifyingKey(publicHalf(privateKey)),
  ]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: `CN=${name}`,
    keys: { privateKey: signing, publicKey: verifying },
    signingAlgorithm: P256,
  });
  return { csr: new Uint8Array(request.rawData), privateKeyPem: privateKeyPem(privateKey) };
}

/**
 * The public key (SubjectPublicKeyInfo, DER) of a PKCS #10 request (RFC 2986, DER) whose signature proves that the sender
 * holds its private half. Nothing else of a request counts: names and extensions are set by the authority. Rejects with
 * INVALID_ARGUMENT for another form or a key that is not ECDSA P-256, SIGNATURE_INVALID where the signature does not fit.
 */
export async function requestedKey(csr: Uint8Array): Promise<Uint8Array> {
  if (csr.length === 0 || csr.length > LIMITS.certificateRequestBytes) {
    throw malformed(`a certificate request has 1 to ${String(LIMITS.certificateRequestBytes)} bytes`);
  }
  const { request, spki } = parse(csr);
  if (p256PublicKey(spki) === undefined)
    throw malformed('the key of a certificate request must be ECDSA P-256');
  if (!(await verifies(request))) {
    throw new TributaryError(
      'SIGNATURE_INVALID',
      'csr: the signature of the certificate request does not match its key',
      {
        fields: { field: 'csr' },
      },
    );
  }
  return spki;
}

/** Request and key together: the library looks at the parameters of the key only when that is asked for. */
function parse(csr: Uint8Array): { readonly request: Pkcs10CertificateRequest; readonly spki: Uint8Array } {
  try {
    const request = new Pkcs10CertificateRequest(csr.slice());
    return { request, spki: new Uint8Array(request.publicKey.rawData) };
  } catch (cause) {
    throw malformed('not a PKCS #10 certificate request in DER', cause);
  }
}

/** Algorithms that the library or WebCrypto do not know are as good as a signature that does not fit. */
async function verifies(request: Pkcs10CertificateRequest): Promise<boolean> {
  try {
    // The library types this by a DOM interface; these are the two fields that it has for ECDSA.
    const algorithm: { readonly name?: string; readonly hash: { readonly name?: string } } =
      request.signatureAlgorithm;
    return algorithm.name === 'ECDSA' && algorithm.hash.name !== 'SHA-1' && (await request.verify());
  } catch {
    return false;
  }
}

function malformed(why: string, cause?: unknown): TributaryError {
  return new TributaryError('INVALID_ARGUMENT', `csr: ${why}`, { cause, fields: { field: 'csr' } });
}
