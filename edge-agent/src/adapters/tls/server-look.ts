import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import type { Address } from '../../domain/address.js';
import type { Validity } from '../../domain/renewal.js';
import type { ClockReading } from '../../domain/site-check/clock.js';
import { chainOf, unverifiedTls } from './presented-chain.js';

/** What somebody who only listens learns of a server. */
export interface ServerLook {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** Who issued the leaf: "CN=Corp Proxy, O=Corp". */
  readonly issuer: string;
  readonly validity: Validity;
  /** The date that it answers with; undefined where it says none. */
  readonly reading: ClockReading | undefined;
}

/** Looks at the server at the other end of `socket`, which is closed then. Rejects with UNAVAILABLE. */
export async function lookAtServer(
  target: Address,
  socket: Duplex,
  timeoutMs: number,
  now: () => number,
): Promise<ServerLook> {
  const secured = await unverifiedTls(target, socket, timeoutMs);
  try {
    const chain = chainOf(secured);
    const [leaf] = chain;
    if (leaf === undefined) throw new Error('a TLS server without a certificate');
    const { issuer, validFrom, validTo } = new X509Certificate(leaf);
    return {
      chain,
      issuer: issuer.split('\n').reverse().join(', '),
      validity: { notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) },
      reading: await dateOf(secured, timeoutMs, now),
    };
  } finally {
    secured.destroy();
  }
}

/** Every HTTP answer has a date (RFC 9110, 6.6.1), a refusal too: the request asks for nothing. */
function dateOf(secured: TLSSocket, timeoutMs: number, now: () => number): Promise<ClockReading | undefined> {
  if (secured.alpnProtocol !== 'h2') return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const session = connect('https://coordinator', { createConnection: () => secured });
    const done = (reading: ClockReading | undefined): void => {
      clearTimeout(timer);
      resolve(reading);
      session.destroy();
    };
    const timer = setTimeout(() => done(undefined), timeoutMs);
    // A listener that wants a client certificate ends the session instead of answering.
    session.on('error', () => done(undefined)).on('close', () => done(undefined));
    const askedMs = now();
    const stream = session.request({ ':method': 'HEAD', ':path': '/' });
    stream.on('error', () => done(undefined));
    stream.on('response', ({ date }) => {
      const theirsMs = Date.parse(String(date));
      done(Number.isNaN(theirsMs) ? undefined : { theirsMs, askedMs, answeredMs: now() });
    });
  });
}

/** True where one of the authorities (PEM) issued a certificate of the chain, or is one of it. */
export function isVouched(chain: readonly Uint8Array[], authorities: readonly X509Certificate[]): boolean {
  return chain.some((der) => {
    const certificate = new X509Certificate(der);
    return authorities.some(
      (authority) =>
        certificate.fingerprint256 === authority.fingerprint256 ||
        (certificate.checkIssued(authority) && certificate.verify(authority.publicKey)),
    );
  });
}

/** The first of these PEM files with an authority that vouches for the chain; one that is missing or no PEM does not. */
export async function vouchingStore(
  chain: readonly Uint8Array[],
  stores: readonly string[],
): Promise<string | undefined> {
  for (const store of stores) {
    const authorities = await readFile(store, 'utf8').then(certificatesOf, () => []);
    if (isVouched(chain, authorities)) return store;
  }
  return undefined;
}

/** The certificates of a PEM file. Throws where one of them is none. */
export const certificatesOf = (text: string): readonly X509Certificate[] =>
  (text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (block) => new X509Certificate(block),
  );
