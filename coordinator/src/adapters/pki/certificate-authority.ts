import 'reflect-metadata';

import type { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';

import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  type Extension,
  type JsonGeneralName,
} from '@peculiar/x509';
import { digestOf, LIMITS, requireName, TributaryError, type Digest } from '@tributary/proto';

import type { Clock, Random } from '../../ports.js';
import { requestedKey } from './certificate-request.js';
import {
  generateP256,
  importSigningKey,
  importVerifyingKey,
  P256,
  privateKeyPem,
  publicHalf,
} from './p256-key.js';

const YEAR_MS = 365 * 24 * 3_600_000;

/** How long certificates are valid, in milliseconds. */
export const CERTIFICATE_LIFETIMES = Object.freeze({
  authority: 10 * YEAR_MS,
  /** The daemon makes a new one whenever it starts. */
  server: YEAR_MS,
  agent: LIMITS.certificateTtlMs,
  context: YEAR_MS,
});

/** An issued client certificate. */
export interface IssuedCertificate {
  /** DER. */
  readonly certificate: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo: what the ledger records. */
  readonly keyDigest: Digest;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

/** What a TLS server needs; the chain ends with the authority's own certificate, so that joining agents can pin it. */
export interface ServerCertificate {
  readonly chainPem: string;
  readonly privateKeyPem: string;
  readonly expiresAtMs: number;
}

/** What stays of an authority: `certificate` is public, `privateKey` belongs into the key vault. */
export interface AuthorityMaterial {
  /** DER. */
  readonly certificate: Uint8Array;
  /** PKCS #8, DER. */
  readonly privateKey: Uint8Array;
}

interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
}

/** Makes the self-signed certificate and the key of a new authority (ECDSA P-256, path length 0). */
export async function createAuthority(
  federationId: string,
  { clock, random }: Surroundings,
): Promise<AuthorityMaterial> {
  const privateKey = generateP256();
  const [signingKey, verifyingKey] = await Promise.all([
    importSigningKey(privateKey),
    importVerifyingKey(publicHalf(privateKey)),
  ]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(random),
    name: commonName(`Tributary ${federationId}`),
    ...validity(clock.now(), CERTIFICATE_LIFETIMES.authority),
    signingAlgorithm: P256,
    keys: { privateKey: signingKey, publicKey: verifyingKey },
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(verifyingKey),
    ],
  });
  return { certificate: new Uint8Array(certificate.rawData), privateKey };
}

/** Issues the certificates of one federation (RFC 5280). Subjects and alternative names are always its own choice. */
export class CertificateAuthority {
  /** DER. */
  readonly certificate: Uint8Array;
  /** SHA-256 of the certificate's DER: what join tokens carry. */
  readonly digest: Digest;
  readonly #parsed: X509Certificate;
  readonly #signingKey: webcrypto.CryptoKey;
  readonly #federationId: string;
  readonly #surroundings: Surroundings;

  private constructor(
    parsed: X509Certificate,
    signingKey: webcrypto.CryptoKey,
    federationId: string,
    surroundings: Surroundings,
  ) {
    this.certificate = new Uint8Array(parsed.rawData);
    this.digest = digestOf(this.certificate);
    this.#parsed = parsed;
    this.#signingKey = signingKey;
    this.#federationId = federationId;
    this.#surroundings = surroundings;
  }

  /** Throws STORE_CORRUPT where certificate and key do not belong together. */
  static async open(
    material: AuthorityMaterial,
    federationId: string,
    surroundings: Surroundings,
  ): Promise<CertificateAuthority> {
    const parsed = parseCertificate(material.certificate);
    if (Buffer.compare(publicHalf(material.privateKey), new Uint8Array(parsed.publicKey.rawData)) !== 0) {
      throw new TributaryError(
        'STORE_CORRUPT',
        'the certificate of the authority does not belong to its key',
      );
    }
    return new CertificateAuthority(
      parsed,
      await importSigningKey(material.privateKey),
      federationId,
      surroundings,
    );
  }

  get certificatePem(): string {
    return this.#parsed.toString('pem');
  }

  /** A key and certificate for the listeners; `names` are DNS names and IP addresses. */
  async issueServer(
    names: readonly string[],
    lifetimeMs: number = CERTIFICATE_LIFETIMES.server,
  ): Promise<ServerCertificate> {
    if (names.length === 0) throw invalidName('', 'at least one name is needed');
    const privateKey = generateP256();
    const { certificate, expiresAtMs } = await this.#issue({
      spki: publicHalf(privateKey),
      subject: 'Tributary coordinator',
      names: names.map(serverName),
      usage: ExtendedKeyUsage.serverAuth,
      lifetimeMs,
    });
    return {
      chainPem: `${parseCertificate(certificate).toString('pem')}\n${this.certificatePem}\n`,
      privateKeyPem: privateKeyPem(privateKey),
      expiresAtMs,
    };
  }

  /** A client certificate for an agent's own key. Rejects as `requestedKey` does. */
  async issueAgent(
    agentId: string,
    csr: Uint8Array,
    lifetimeMs: number = CERTIFICATE_LIFETIMES.agent,
  ): Promise<IssuedCertificate> {
    return this.#issueClient('agent', requireName(agentId, 'agentId'), csr, lifetimeMs);
  }

  /** A client certificate for a replica's own key. Rejects as `requestedKey` does. */
  async issueReplica(agentId: string, csr: Uint8Array): Promise<IssuedCertificate> {
    return this.#issueClient('replica', requireName(agentId, 'agentId'), csr, CERTIFICATE_LIFETIMES.agent);
  }

  /** A client certificate for a context's own key. Rejects as `requestedKey` does. */
  async issueContext(
    context: string,
    csr: Uint8Array,
    lifetimeMs: number = CERTIFICATE_LIFETIMES.context,
  ): Promise<IssuedCertificate> {
    return this.#issueClient('context', requireName(context, 'context'), csr, lifetimeMs);
  }

  async #issueClient(
    kind: 'agent' | 'replica' | 'context',
    name: string,
    csr: Uint8Array,
    lifetimeMs: number,
  ): Promise<IssuedCertificate> {
    const spki = await requestedKey(csr);
    const value = `tributary://${this.#federationId}/${kind}/${name}`;
    const issued = await this.#issue({
      spki,
      subject: name,
      names: [{ type: 'url', value }],
      usage: ExtendedKeyUsage.clientAuth,
      lifetimeMs,
    });
    return { ...issued, keyDigest: digestOf(spki) };
  }

  async #issue(leaf: Leaf): Promise<{ readonly certificate: Uint8Array; readonly expiresAtMs: number }> {
    const { clock, random } = this.#surroundings;
    const publicKey = await importVerifyingKey(leaf.spki);
    const { notBefore, notAfter } = validity(clock.now(), leaf.lifetimeMs);
    // A chain is valid no longer than its authority.
    const end = new Date(Math.min(notAfter.getTime(), this.#parsed.notAfter.getTime()));
    const extensions: Extension[] = [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([leaf.usage]),
      new SubjectAlternativeNameExtension([...leaf.names]),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(this.#parsed.publicKey),
    ];
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serialNumber(random),
      subject: commonName(leaf.subject),
      issuer: this.#parsed.subjectName.toJSON(),
      notBefore,
      notAfter: end,
      signingAlgorithm: P256,
      publicKey,
      signingKey: this.#signingKey,
      extensions,
    });
    return { certificate: new Uint8Array(certificate.rawData), expiresAtMs: certificate.notAfter.getTime() };
  }
}

interface Leaf {
  readonly spki: Uint8Array;
  readonly subject: string;
  readonly names: readonly JsonGeneralName[];
  readonly usage: ExtendedKeyUsage;
  readonly lifetimeMs: number;
}

function parseCertificate(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der.slice());
  } catch (cause) {
    throw new TributaryError('STORE_CORRUPT', 'not an X.509 certificate in DER', { cause });
  }
}

/** At most 64 characters (RFC 5280, appendix A.1): names of hosts may be longer and stand in the extension only. */
const commonName = (name: string): Record<string, string[]>[] => [{ CN: [name] }];

/** Begins early: the clock of whoever checks it may be behind, and no key is older for it. */
function validity(now: number, lifetimeMs: number): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(now - LIMITS.certificateBackdateMs), notAfter: new Date(now + lifetimeMs) };
}

/** 16 random bytes that read as a positive number without a leading zero byte (RFC 5280, 4.1.2.2). */
function serialNumber(random: Random): string {
  const bytes = random.bytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

const DNS_NAME = /^(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*$/;

function serverName(name: string): JsonGeneralName {
  if (isIP(name) !== 0) return { type: 'ip', value: name };
  if (name.length <= 253 && DNS_NAME.test(name)) return { type: 'dns', value: name };
  throw invalidName(name, 'neither a DNS name nor an IP address');
}

function invalidName(name: string, why: string): TributaryError {
  return new TributaryError('CONFIG_INVALID', `server name '${name.slice(0, 253)}': ${why}`);
}
