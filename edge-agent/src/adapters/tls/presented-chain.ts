import { connect, type DetailedPeerCertificate } from 'node:tls';
import { isIP } from 'node:net';

import { LIMITS, TributaryError } from '@tributary/proto';

import { formatAddress, type Address } from '../../domain/address.js';
import { openSocket, type Proxy } from './connect-tunnel.js';

/** Certificates of one chain; a longer one is nobody's honest chain. */
const MAX_CHAIN = 8;

/**
 * The certificates (DER, leaf first) that the server at `target` presents. Nothing is verified here and nothing is sent
 * but the handshake: the caller compares digests with what it was told on another way.
 */
export async function presentedChain(
  target: Address,
  proxy: Proxy | undefined,
): Promise<readonly Uint8Array[]> {
  const socket = await openSocket(target, proxy);
  return new Promise((resolve, reject) => {
    const servername = isIP(target.host) === 0 ? { servername: target.host } : {};
    const secured = connect({ socket, ...servername, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    secured.setTimeout(LIMITS.unaryDeadlineMs, () => secured.destroy(new Error('timed out')));
    secured.once('secureConnect', () => {
      const chain = derOf(secured.getPeerCertificate(true));
      secured.destroy();
      resolve(chain);
    });
    secured.once('error', (cause: Error) => {
      const message = `${formatAddress(target)} does not speak TLS: ${cause.message}`;
      reject(new TributaryError('UNAVAILABLE', message, { cause }));
    });
  });
}

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
