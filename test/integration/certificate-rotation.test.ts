import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';

import { startListener, type TlsListener } from '@tributary/coordinator/internal/adapters/grpc/listener.js';
import { Sessions } from '@tributary/coordinator/internal/adapters/grpc/sessions.js';
import { createLog } from '@tributary/coordinator/internal/adapters/logs/log.js';
import { LogBuffer } from '@tributary/coordinator/internal/adapters/logs/log-buffer.js';
import { ManualClock } from '@tributary/coordinator/internal/adapters/memory/manual-clock.js';
import {
  CertificateAuthority,
  createAuthority,
} from '@tributary/coordinator/internal/adapters/pki/certificate-authority.js';
import { systemRandom } from '@tributary/coordinator/internal/adapters/system/system-random.js';
import { startTunnels } from '@tributary/coordinator/internal/adapters/tunnel/tunnel-listener.js';
import { renewCertificates } from '@tributary/coordinator/internal/commands/certificate-renewal.js';
import type {
  ServedCertificates,
  TlsIdentity,
} from '@tributary/coordinator/internal/commands/served-certificates.js';
import { readTunnelIdentity } from '@tributary/coordinator/internal/commands/tunnel-certificate.js';
import { LIMITS } from '@tributary/proto';

import { execute } from '../support/kube/charts.js';
import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const FEDERATION = `fed-${'1'.repeat(32)}`;
const DAY_MS = 24 * 3_600_000;
const HOST = 'tunnel.example.org';
const HUB = { host: '127.0.0.1', port: 0 };

const missing = spawnSync('openssl', ['version']).status !== 0;

describe(`certificates that are replaced while the coordinator runs${missing ? ' (needs openssl)' : ''}`, function () {
  this.timeout(100_000);
  const clock = new ManualClock(Date.now());
  const surroundings = { clock, random: systemRandom() };
  const buffer = new LogBuffer();
  const { log } = createLog({ level: 'info', buffer, destination: { write: () => undefined } });
  const files = { tunnelAddress: `${HOST}:443`, tunnelCertFile: '', tunnelKeyFile: '' };
  let folder: TemporaryDirectory;
  let authority: CertificateAuthority;
  let fleet: TlsListener;
  let enrol: TlsListener;
  let tunnel: TlsListener;
  let certificates: ServedCertificates;

  before(async function () {
    if (missing) return this.skip();
    folder = await temporaryDirectory();
    const material = await createAuthority(FEDERATION, surroundings);
    authority = await CertificateAuthority.open(material, FEDERATION, surroundings);
    const own = await issue();
    const identity = { ...own, ca: authority.certificatePem };
    const common = { at: HUB, maxConnections: 8, register: () => undefined };
    const mutual = { type: 'MutualTls', identity, sessions: new Sessions() } as const;
    fleet = await startListener({ ...common, name: 'fleet', security: mutual });
    enrol = await startListener({ ...common, name: 'enrol', security: { type: 'ServerTls', identity } });
    const at = (name: string): string => join(folder.path, name);
    Object.assign(files, { tunnelCertFile: at('tls.crt'), tunnelKeyFile: at('tls.key') });
    await put(await made(HOST));
    const ofTunnels = await readTunnelIdentity(files);
    const end = { host: '127.0.0.1', port: enrol.port };
    tunnel = await startTunnels({
      ...{ ...HUB, ...(ofTunnels ?? own), isMember: () => true },
      ends: { fleet: end, enrol: end },
    });
    certificates = renewCertificates({
      ...{ clock, log, own, issue, listeners: [fleet, enrol], tunnel, ofTunnels, files },
    });
  });
  after(async () => {
    if (missing) return;
    certificates.stop();
    await Promise.all([fleet, enrol, tunnel].map((listener) => listener.close(0)));
    await folder.remove();
  });

  const issue = async (): Promise<TlsIdentity> => {
    const { chainPem, privateKeyPem } = await authority.issueServer(['hub.example.org']);
    return { certificate: chainPem, key: privateKeyPem };
  };
  /** What somebody has made with openssl, as an issuer of the outside world would. */
  const made = async (host: string): Promise<TlsIdentity> => {
    const out = join(folder.path, 'made');
    const words = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '30',
    ];
    const names = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`];
    const { code, stderr } = await execute('openssl', [
      ...words,
      ...names,
      '-keyout',
      `${out}.key`,
      '-out',
      `${out}.crt`,
    ]);
    assert.equal(code, 0, stderr);
    return { certificate: await readFile(`${out}.crt`, 'utf8'), key: await readFile(`${out}.key`, 'utf8') };
  };
  const put = async ({ certificate, key }: TlsIdentity): Promise<void> => {
    for (const [path, text] of [
      [files.tunnelKeyFile, key],
      [files.tunnelCertFile, certificate],
    ] as const) {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    }
  };
  const dial = (port: number): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const socket = connect(
        { ...HUB, port, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] },
        () => resolve(socket),
      );
      socket.once('error', reject).on('error', () => undefined);
    });
  const shown = async (port: number): Promise<string> => {
    const socket = await dial(port);
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };
  const fingerprint = ({ certificate }: TlsIdentity): string =>
    new X509Certificate(certificate).fingerprint256;
  const warnings = (): number =>
    buffer.tail(1_000).filter(({ line }) => line.includes('the certificate was not replaced')).length;

  it('are taken from the files of tunnels, without a restart and without ending what is open', async () => {
    const open = await dial(tunnel.port);
    const before = await shown(tunnel.port);
    const next = await made(HOST);
    await put(next);
    assert.equal(await shown(tunnel.port), before);
    clock.advance(LIMITS.certificateLookMs);
    await eventually(
      'the new certificate',
      async () => (await shown(tunnel.port)) === fingerprint(next) || undefined,
    );
    assert.ok(!open.destroyed);
    open.destroy();
    const [, validity] = certificates.validities();
    assert.deepEqual(
      [validity?.name, validity?.expiresAtMs],
      ['tunnel', Date.parse(new X509Certificate(next.certificate).validTo)],
    );
  });

  it('stay where the files cannot be used, which is said once, until they can', async () => {
    const before = await shown(tunnel.port);
    const [stranger, next] = [await made('elsewhere.example.org'), await made(HOST)];
    const told = warnings();
    for (const wrong of [stranger, { ...next, key: stranger.key }, { ...next, certificate: 'nothing' }]) {
      await put(wrong);
      for (let look = 0; look < 3; look += 1) await certificates.look();
      assert.equal(await shown(tunnel.port), before);
    }
    assert.equal(warnings(), told + 3);
    await put(next);
    await certificates.look();
    assert.equal(await shown(tunnel.port), fingerprint(next));
  });

  it('are refused by name at the start', async () => {
    const [stranger, good] = [await made('elsewhere.example.org'), await made(HOST)];
    const cases = [
      [stranger, /not for tunnel\.example\.org/],
      [{ ...good, key: stranger.key }, /not the key/],
      [{ ...good, key: 'nothing' }, /no key in PEM/],
    ] as const;
    for (const [identity, text] of cases) {
      await put(identity);
      await assert.rejects(readTunnelIdentity(files), refusal('CONFIG_INVALID', text));
    }
    await put(good);
  });

  it('of the daemon itself are renewed when two thirds of their year are over', async () => {
    const before = await Promise.all([shown(fleet.port), shown(enrol.port)]);
    assert.equal(before[0], before[1]);
    clock.advance(200 * DAY_MS);
    await certificates.look();
    assert.deepEqual(await Promise.all([shown(fleet.port), shown(enrol.port)]), before);
    clock.advance(50 * DAY_MS);
    const renewed = await eventually('another certificate', async () => {
      clock.advance(LIMITS.certificateLookMs);
      const now = await shown(enrol.port);
      return now === before[1] ? undefined : now;
    });
    const socket = await dial(enrol.port);
    const der = socket.getPeerCertificate().raw;
    assert.ok(new X509Certificate(der).checkIssued(new X509Certificate(authority.certificate)));
    socket.destroy();
    assert.equal(await shown(fleet.port), renewed);
    // Whoever shows no certificate is refused by the fleet as before: the handshake of TLS 1.3 ends, and then the connection.
    const stranger = await dial(fleet.port);
    await eventually('the refusal', () => stranger.destroyed || undefined);
    const [server] = certificates.validities();
    assert.ok((server?.expiresAtMs ?? 0) > clock.now() + 300 * DAY_MS);
  });
});
