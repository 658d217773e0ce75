import 'reflect-metadata';

import { createPrivateKey, createPublicKey, webcrypto, X509Certificate } from 'node:crypto';

import { TributaryError } from '@tributary/proto';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';

import type { CertificateReader, TlsKeyMaker } from '../../ports.js';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** Makes ECDSA P-256 keys (FIPS 186-5) with a PKCS #10 request (RFC 2986). The coordinator chooses the names. */
export const tlsKeyMaker: TlsKeyMaker = {
  async create() {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const request = await Pkcs10CertificateRequestGenerator.create(
      { name: 'CN=agent', keys, signingAlgorithm: ALGORITHM },
      webcrypto,
    );
    const privateKey = new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    return { privateKey, csr: new Uint8Array(request.rawData) };
  },
};

export const certificateReader: CertificateReader = {
  validity(certificate) {
    const { validFrom, validTo } = parse(certificate);
    return { notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) };
  },
  belongs(certificate, authority, privateKey) {
    const [leaf, issuer] = [parse(certificate), parse(authority)];
    const key = createPublicKey(
      createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' }),
    );
    return leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey) && leaf.publicKey.equals(key);
  },
};

function parse(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new TributaryError('INVALID_ARGUMENT', 'certificate: not an X.509 certificate in DER', { cause });
  }
}

/** PEM of DER bytes (RFC 7468). */
export function pem(label: 'CERTIFICATE' | 'PRIVATE KEY', der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
