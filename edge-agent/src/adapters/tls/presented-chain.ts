import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';

import { LIMITS, TributaryError } from '@tributary/proto';

import { formatAddress, type Address } from '../../domain/address.js';

/** Certificates of one chain; a longer one is nobody's honest chain. */
const MAX_CHAIN = 8;

/**
 * The certificates (DER, leaf first) that the server at the other end of `socket` presents. Nothing is verified here and
 * nothing is sent but the handshake: the caller compares digests with what it was told on another way.
 */
export async function presentedChain(target: Address, socket: Duplex): Promise<readonly Uint8Array[]> {
  const secured = await unverifiedTls(target, socket);
  const chain = chainOf(secured);
  secured.destroy();
  return chain;
}

/** TLS with whoever answers, HTTP/2 preferred. Rejects with UNAVAILABLE. */
export function unverifiedTls(
  target: Address,
  socket: Duplex,
  timeoutMs: number = LIMITS.unaryDeadlineMs,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const servername = isIP(target.host) === 0 ? { servername: target.host } : {};
    const secured = connect({
      socket,
      ...servername,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    const silence = Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' });
    const timer = setTimeout(() => secured.destroy(silence), timeoutMs);
    secured.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(secured);
    });
    const fail = (cause?: Error): void => {
      clearTimeout(timer);
      const reason = cause?.message ?? 'the connection was closed';
      const message = `${formatAddress(target)} does not speak TLS: ${reason}`;
      reject(new TributaryError('UNAVAILABLE', message, { cause, fields: { phase: 'Tls' } }));
    };
    secured.on('error', fail);
    secured.once('close', () => fail());
  });
}

/** What the other end of a handshake presented (DER, leaf first). */
export const chainOf = (secured: TLSSocket): readonly Uint8Array[] => derOf(secured.getPeerCertificate(true));

function derOf(leaf: DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  // Node makes the types of absent certificates look present: an empty object, or a root that issues itself.
  let certificate: Partial<DetailedPeerCertificate> | undefined = leaf;
  while (certificate?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(new Uint8Array(certificate.raw));
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
  return chain;
}
