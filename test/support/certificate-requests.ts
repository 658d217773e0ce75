import 'reflect-metadata';

import { webcrypto } from 'node:crypto';

import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';

export interface RequestOptions {
  /** WebCrypto's parameters of the key and signature; ECDSA P-256 with SHA-256 unless given. */
  readonly algorithm?: { readonly name: string; readonly namedCurve?: string; readonly hash?: string };
  readonly subject?: string;
  /** A URI that the request asks to be named by. */
  readonly uri?: string;
}

export interface Requested {
  /** PKCS #10, DER. */
  readonly csr: Uint8Array;
  readonly privateKeyPem: string;
}

/** A fresh key and a certificate request for it. */
export async function requestCertificate({
  algorithm,
  subject,
  uri,
}: RequestOptions = {}): Promise<Requested> {
  const signing = algorithm ?? { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = (await webcrypto.subtle.generateKey(signing, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: subject ?? 'CN=whatever',
    keys,
    signingAlgorithm: signing,
    extensions: uri === undefined ? [] : [new SubjectAlternativeNameExtension([{ type: 'url', value: uri }])],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    csr: new Uint8Array(request.rawData),
    privateKeyPem: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
  };
}
