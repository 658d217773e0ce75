import { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';

import type { ServerUnaryCall } from '@grpc/grpc-js';
import { digestOf, LIMITS, type Digest } from '@tributary/proto';

const CERTIFIED_KINDS = ['agent', 'replica', 'context'] as const;
type CertifiedKind = (typeof CERTIFIED_KINDS)[number];

/** Who a client certificate says that a connection belongs to. TLS has verified its chain; nothing else is. */
export interface CertifiedPeer {
  readonly kind: CertifiedKind;
  readonly federationId: string;
  /** Agent id or name of the context. */
  readonly name: string;
  /** SHA-256 of the certificate's SubjectPublicKeyInfo. */
  readonly keyDigest: Digest;
  /** Milliseconds since the epoch at which the certificate ends. */
  readonly expiresAtMs: number;
}

/** The other end of a call. `local` came over the daemon's Unix socket, which only its own user can open. */
export type Peer = CertifiedPeer | { readonly kind: 'local' } | { readonly kind: 'anonymous' };

const IDENTITY = /^URI:tributary:\/\/([a-z0-9-]{1,63})\/(agent|replica|context)\/([a-z0-9.-]{1,63})$/;

/** Parsed certificates by fingerprint, the oldest dropped: a call costs a look-up, not a parse. */
const parsed = new Map<string, CertifiedPeer | undefined>();

/** The peer of a call on a TLS listener. */
export function peerOfCall(call: Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext'>): Peer {
  const certificate = call.getAuthContext().sslPeerCertificate;
  return certificate === undefined ? { kind: 'anonymous' } : peerOfCertificate(certificate);
}

/** The peer that a certificate names: anonymous where it has no identity of ours in its subject alternative name. */
export function peerOfCertificate(certificate: Pick<PeerCertificate, 'raw' | 'fingerprint256'>): Peer {
  const name = certificate.fingerprint256;
  if (!parsed.has(name)) {
    parsed.set(name, parse(certificate.raw));
    if (parsed.size > LIMITS.agents) parsed.delete(parsed.keys().next().value ?? '');
  }
  return parsed.get(name) ?? { kind: 'anonymous' };
}

/** The key under which connections and limits of a peer are counted. */
export function peerKey(peer: Peer): string {
  return 'name' in peer ? `${peer.kind}/${peer.name}` : peer.kind;
}

function parse(der: Uint8Array): CertifiedPeer | undefined {
  const certificate = new X509Certificate(der);
  // Several names would leave open which of them the certificate stands for.
  const match = IDENTITY.exec(certificate.subjectAltName ?? '');
  const [, federationId, written, name] = match ?? [];
  const kind = CERTIFIED_KINDS.find((known) => known === written);
  if (federationId === undefined || name === undefined || kind === undefined) return undefined;
  const spki = certificate.publicKey.export({ format: 'der', type: 'spki' });
  const keyDigest = digestOf(spki);
  return { kind, federationId, name, keyDigest, expiresAtMs: Date.parse(certificate.validTo) };
}
