import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';

import { peerOfCertificate } from '@tributary/coordinator/internal/adapters/grpc/peer.js';
import {
  CertificateAuthority,
  CERTIFICATE_LIFETIMES,
  createAuthority,
  type ServerCertificate,
} from '@tributary/coordinator/internal/adapters/pki/certificate-authority.js';
import { systemClock } from '@tributary/coordinator/internal/adapters/system/system-clock.js';
import { systemRandom } from '@tributary/coordinator/internal/adapters/system/system-random.js';
import { digestOf, LIMITS } from '@tributary/proto';
import fc from 'fast-check';

import { requestCertificate } from '../support/certificate-requests.js';

const FEDERATION = `fed-${'1'.repeat(32)}`;
const AGENT = `agt-${'2'.repeat(32)}`;
const surroundings = { clock: systemClock(), random: systemRandom() };
const pem = (der: Uint8Array): string => new X509Certificate(der).toString();

async function newAuthority(federationId = FEDERATION): Promise<CertificateAuthority> {
  return CertificateAuthority.open(
    await createAuthority(federationId, surroundings),
    federationId,
    surroundings,
  );
}

interface Handshake {
  /** What the server made of the client: its verdict and certificate. */
  readonly authorized: boolean;
  readonly uri: string | undefined;
}

/** One mutual TLS 1.3 connection over loopback; rejects with what either side objects to. */
async function handshake(
  server: ServerCertificate,
  serverCa: string,
  client: { cert: string; key: string; ca: string; servername?: string },
): Promise<Handshake> {
  const seen: TLSSocket[] = [];
  const listener = createServer(
    {
      cert: server.chainPem,
      key: server.privateKeyPem,
      ca: serverCa,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    },
    (socket) => {
      seen.push(socket);
      socket.on('error', () => undefined);
      socket.end('hello');
    },
  );
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const { servername = 'localhost', ...credentials } = client;
  const socket = connect({ port, host: '127.0.0.1', servername, minVersion: 'TLSv1.3', ...credentials });
  try {
    // With TLS 1.3 a client learns that its certificate was refused only by reading.
    const greeting = await new Promise<string>((resolve, reject) => {
      socket.once('error', reject);
      socket.setEncoding('utf8').once('data', (text: string) => {
        resolve(text);
      });
      socket.once('end', () => reject(new Error('closed without a word')));
    });
    assert.equal(greeting, 'hello');
    const [peer] = seen;
    return { authorized: peer?.authorized ?? false, uri: peer?.getPeerX509Certificate()?.subjectAltName };
  } finally {
    socket.destroy();
    for (const peer of seen) peer.destroy();
    listener.close();
  }
}

describe('certificates', () => {
  it('carry a mutual TLS connection, which names the agent', async () => {
    const ca = await newAuthority();
    const server = await ca.issueServer(['localhost', '127.0.0.1']);
    const { csr, privateKeyPem } = await requestCertificate();
    const issued = await ca.issueAgent(AGENT, csr);
    const result = await handshake(server, ca.certificatePem, {
      cert: pem(issued.certificate),
      key: privateKeyPem,
      ca: ca.certificatePem,
    });
    assert.deepEqual(result, { authorized: true, uri: `URI:tributary://${FEDERATION}/agent/${AGENT}` });
  });

  it('are refused by a server of another authority, also of one with the same name', async () => {
    const [ca, impostor] = [await newAuthority(), await newAuthority()];
    const { csr, privateKeyPem } = await requestCertificate();
    const issued = await impostor.issueAgent(AGENT, csr);
    const client = { cert: pem(issued.certificate), key: privateKeyPem, ca: ca.certificatePem };
    await assert.rejects(
      handshake(await ca.issueServer(['localhost']), ca.certificatePem, client),
      /alert|closed|ECONNRESET|EPIPE/,
    );
  });

  it('of a server are refused by a client that pins another authority', async () => {
    const [ca, impostor] = [await newAuthority(), await newAuthority()];
    const { csr, privateKeyPem } = await requestCertificate();
    const issued = await ca.issueAgent(AGENT, csr);
    const client = { cert: pem(issued.certificate), key: privateKeyPem, ca: ca.certificatePem };
    await assert.rejects(
      handshake(await impostor.issueServer(['localhost']), ca.certificatePem, client),
      /certificate/,
    );
  });

  it('of a server count for its names and addresses only', async () => {
    const ca = await newAuthority();
    const server = await ca.issueServer(['hub.example.org', '10.0.0.1', '2001:db8::1']);
    const certificate = new X509Certificate(server.chainPem);
    assert.equal(certificate.checkHost('hub.example.org'), 'hub.example.org');
    assert.equal(certificate.checkHost('other.example.org'), undefined);
    assert.equal(certificate.checkIP('10.0.0.1'), '10.0.0.1');
    assert.equal(certificate.checkIP('10.0.0.2'), undefined);
    assert.ok(certificate.checkIP('2001:db8::1'));
    const { csr, privateKeyPem } = await requestCertificate();
    const issued = await ca.issueContext('operator', csr);
    const client = {
      cert: pem(issued.certificate),
      key: privateKeyPem,
      ca: ca.certificatePem,
      servername: 'localhost',
    };
    await assert.rejects(handshake(server, ca.certificatePem, client), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  it('of clients do not serve as server certificates, and the other way round', async () => {
    const ca = await newAuthority();
    const { csr, privateKeyPem } = await requestCertificate();
    const issued = await ca.issueAgent('localhost', csr);
    const cert = pem(issued.certificate);
    const asServer = { chainPem: cert, privateKeyPem, expiresAtMs: 0 };
    await assert.rejects(
      handshake(asServer, ca.certificatePem, { cert, key: privateKeyPem, ca: ca.certificatePem }),
      /purpose|certificate/,
    );
    const server = await ca.issueServer(['localhost']);
    const client = { cert: server.chainPem, key: server.privateKeyPem, ca: ca.certificatePem };
    await assert.rejects(handshake(server, ca.certificatePem, client), /alert|closed|ECONNRESET|EPIPE/);
  });

  it('that have expired are refused', async () => {
    const past = {
      ...surroundings,
      clock: { ...systemClock(), now: () => Date.now() - 3 * CERTIFICATE_LIFETIMES.agent },
    };
    const material = await createAuthority(FEDERATION, past);
    const [then, now] = [
      await CertificateAuthority.open(material, FEDERATION, past),
      await CertificateAuthority.open(material, FEDERATION, surroundings),
    ];
    const { csr, privateKeyPem } = await requestCertificate();
    const issued = await then.issueAgent(AGENT, csr);
    const client = { cert: pem(issued.certificate), key: privateKeyPem, ca: now.certificatePem };
    await assert.rejects(
      handshake(await now.issueServer(['localhost']), now.certificatePem, client),
      /alert|closed|ECONNRESET|EPIPE/,
    );
  });

  it('take name and rights from the authority, never from the request', async () => {
    const ca = await newAuthority();
    const asked = { subject: 'CN=admin, O=Somebody', uri: `tributary://${FEDERATION}/context/admin` };
    const issued = await ca.issueAgent(AGENT, (await requestCertificate(asked)).csr);
    const certificate = new X509Certificate(issued.certificate);
    assert.equal(certificate.subject, `CN=${AGENT}`);
    assert.equal(certificate.subjectAltName, `URI:tributary://${FEDERATION}/agent/${AGENT}`);
    assert.equal(certificate.ca, false);
    assert.ok(certificate.checkIssued(new X509Certificate(ca.certificate)));
    assert.ok(certificate.verify(new X509Certificate(ca.certificate).publicKey));
  });

  it('are read by the listeners as they were written', async () => {
    const ca = await newAuthority();
    const { csr } = await requestCertificate();
    const agent = await ca.issueAgent(AGENT, csr);
    const context = await ca.issueContext('operator', csr);
    const peerOf = (der: Uint8Array) =>
      peerOfCertificate({ raw: Buffer.from(der), fingerprint256: new X509Certificate(der).fingerprint256 });
    assert.deepEqual(peerOf(agent.certificate), {
      kind: 'agent',
      federationId: FEDERATION,
      name: AGENT,
      keyDigest: agent.keyDigest,
      expiresAtMs: agent.expiresAtMs,
    });
    assert.equal(peerOf(context.certificate).kind, 'context');
    const spki = new X509Certificate(agent.certificate).publicKey.export({ format: 'der', type: 'spki' });
    assert.equal(agent.keyDigest, digestOf(spki));
  });

  it('begin a day early, end after their lifetime, and never after their authority', async () => {
    const ca = await newAuthority();
    const { csr } = await requestCertificate();
    const now = Date.now();
    const { certificate, expiresAtMs } = await ca.issueAgent(AGENT, csr);
    const { validFrom, validTo } = new X509Certificate(certificate);
    assert.ok(Math.abs(Date.parse(validFrom) - (now - LIMITS.certificateBackdateMs)) < 5_000);
    assert.ok(Math.abs(Date.parse(validTo) - (now + LIMITS.certificateTtlMs)) < 5_000);
    assert.equal(Date.parse(validTo), expiresAtMs);
    const long = await ca.issueAgent(AGENT, csr, 100 * CERTIFICATE_LIFETIMES.authority);
    assert.equal(long.expiresAtMs, Date.parse(new X509Certificate(ca.certificate).validTo));
  });

  it('have serial numbers of their own, positive and of 16 bytes', async () => {
    const ca = await newAuthority();
    const { csr } = await requestCertificate();
    const issued = await Promise.all(Array.from({ length: 20 }, () => ca.issueAgent(AGENT, csr)));
    const serials = new Set(issued.map(({ certificate }) => new X509Certificate(certificate).serialNumber));
    assert.equal(serials.size, 20);
    for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
  });
});

describe('certificate requests', () => {
  let ca: CertificateAuthority;
  before(async () => {
    ca = await newAuthority();
  });

  it('for other keys than ECDSA P-256 are refused', async () => {
    for (const algorithm of [
      { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
      { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
      { name: 'Ed25519' },
    ]) {
      const { csr } = await requestCertificate({ algorithm });
      await assert.rejects(
        ca.issueAgent(AGENT, csr),
        { code: 'INVALID_ARGUMENT' },
        JSON.stringify(algorithm),
      );
    }
  });

  it('signed by another key are refused', async () => {
    const { csr } = await requestCertificate();
    const forged = csr.slice();
    // The signature stands at the end: two integers of 32 or 33 bytes.
    forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
    await assert.rejects(ca.issueAgent(AGENT, forged), { code: 'SIGNATURE_INVALID' });
  });

  it('of any bytes get a typed refusal, or a certificate for the key that they prove', async () => {
    const { csr } = await requestCertificate();
    const { keyDigest } = await ca.issueAgent(AGENT, csr);
    const mutated = fc
      .array(fc.record({ at: fc.nat(csr.length - 1), value: fc.integer({ min: 1, max: 255 }) }), {
        minLength: 1,
        maxLength: 4,
      })
      .map((changes) => {
        const bytes = csr.slice();
        for (const { at, value } of changes) bytes[at] = (bytes[at] ?? 0) ^ value;
        return bytes;
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), async (bytes) => {
        // Two changes may undo each other: only then is it a request.
        if (Buffer.compare(bytes, csr) === 0) return;
        const issued = await ca.issueAgent(AGENT, bytes).catch((error: { code?: string }) => {
          assert.match(error.code ?? '', /^(INVALID_ARGUMENT|SIGNATURE_INVALID)$/);
        });
        // A length outside what is signed may be read leniently; the key that was proven is what counts.
        if (issued !== undefined) assert.equal(issued.keyDigest, keyDigest);
      }),
      { numRuns: 300 },
    );
    await assert.rejects(ca.issueAgent(AGENT, new Uint8Array(LIMITS.certificateRequestBytes + 1)), {
      code: 'INVALID_ARGUMENT',
    });
  });

  it('with the object identifier of the key or its curve altered get a typed refusal', async () => {
    const ca = await newAuthority();
    const { csr } = await requestCertificate();
    // id-ecPublicKey and prime256v1 (RFC 5480), one behind the other: the library parses what they say of the key late.
    const identifiers = Buffer.from('06072a8648ce3d020106082a8648ce3d030107', 'hex');
    const start = Buffer.from(csr).indexOf(identifiers);
    assert.ok(start > 0);
    for (let index = start; index < start + identifiers.length; index += 1) {
      for (const bit of [0x01, 0x40, 0x80, 0x86]) {
        const altered = Buffer.from(csr);
        altered[index] = (altered[index] ?? 0) ^ bit;
        await assert.rejects(ca.issueAgent(AGENT, altered), {
          code: /^(INVALID_ARGUMENT|SIGNATURE_INVALID)$/,
        });
      }
    }
  });

  it('for names that are none are refused', async () => {
    const { csr } = await requestCertificate();
    for (const name of ['', 'a/b', '../x', 'A', 'x'.repeat(64)]) {
      await assert.rejects(ca.issueAgent(name, csr), { code: 'INVALID_ARGUMENT' });
      await assert.rejects(ca.issueContext(name, csr), { code: 'INVALID_ARGUMENT' });
    }
    for (const names of [[], [''], ['a b'], ['-a.example'], ['http://x']]) {
      await assert.rejects(ca.issueServer(names), { code: 'CONFIG_INVALID' });
    }
  });
});

describe('certificate authority', () => {
  it('does not open with the key of another one', async () => {
    const [a, b] = [
      await createAuthority(FEDERATION, surroundings),
      await createAuthority(FEDERATION, surroundings),
    ];
    const mixed = CertificateAuthority.open(
      { certificate: a.certificate, privateKey: b.privateKey },
      FEDERATION,
      surroundings,
    );
    await assert.rejects(mixed, { code: 'STORE_CORRUPT' });
  });

  it('is named in join tokens by the digest of its certificate, which servers send along', async () => {
    const ca = await newAuthority();
    assert.equal(ca.digest, digestOf(ca.certificate));
    const { chainPem } = await ca.issueServer(['localhost']);
    const [, last] = chainPem.split(/(?<=-----END CERTIFICATE-----)/).map((text) => text.trim());
    assert.deepEqual(new Uint8Array(new X509Certificate(last ?? '').raw), ca.certificate);
  });
});
