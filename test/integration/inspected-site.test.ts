import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeJoinToken } from '@tributary/proto';

import { TWO_ROWS, wideJob } from '../bench/wide-job.js';
import { BINARIES, runCommand, type Finished } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { InterceptingProxy, unmasked } from '../support/intercepting-proxy.js';
import { checkHere } from '../support/site-checks.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const AGENT_SCRIPT = join(import.meta.dirname, '../bench/agent-main.js');

describe('a site behind a proxy that opens TLS', function () {
  this.timeout(120_000);
  let folder: TemporaryDirectory;
  let federation: LocalFederation;
  let proxy: InterceptingProxy;
  let caBundle: string;
  let tunnel: string;

  before(async () => {
    folder = await temporaryDirectory();
    federation = await LocalFederation.start(join(folder.path, 'hub'), 'test', '127.0.0.1', {
      env: { TRIBUTARY_TUNNEL_PORT: '0' },
    });
    tunnel = (await federation.addresses()).tunnel ?? '';
    // As Squid does, it speaks no HTTP/2.
    proxy = await InterceptingProxy.start('Corp Inspection', ['http/1.1']);
    caBundle = join(folder.path, 'corp.pem');
    await writeFile(caBundle, proxy.authorityPem);
  });
  after(async () => {
    await federation.stop();
    await proxy.stop();
    await folder.remove();
  });

  /** agent.yaml of a site that gets out through a proxy alone. */
  const behind = ({ port }: InterceptingProxy, coordinator: object | null = { tunnel }) => ({
    proxy: { url: `http://127.0.0.1:${String(port)}` },
    caBundle,
    ...(coordinator && { coordinator }),
  });
  const site = (name: string, config: object) => ({
    name,
    csv: TWO_ROWS,
    dataset: 'rows',
    config: { ...config },
  });
  const tryJoin = async (name: string, config: object): Promise<Finished> => {
    const own = await federation.writeSite(site(name, config));
    const token = await federation.cliText('invite', name);
    return runCommand(BINARIES.agent, ['join', '--config', join(own, 'agent.yaml'), '--token', token.trim()]);
  };

  it('joins, trains and reports, and the proxy reads nothing of it', async () => {
    await federation.addSite({ ...site('site-4711', behind(proxy)), script: AGENT_SCRIPT });
    await federation.apply(wideJob('secret-job', 1, 2, 1));
    await federation.cliText('wait', 'fj/secret-job', '--for', 'condition=Complete', '--timeout', '60s');
    const { agentId } = await federation.agentStatus('site-4711');
    assert.ok(proxy.tunnels.length >= 3, 'one to look at the chain, one to enrol, one for the fleet');
    const pieces = proxy.tunnels.flatMap((one) => [...one.sent, unmasked(one), ...one.received]);
    const seen = Buffer.concat(pieces).toString('latin1');
    assert.match(seen, /GET \/tunnel\/enrol HTTP\/1\.1/);
    assert.match(seen, /GET \/tunnel\/fleet HTTP\/1\.1/);
    for (const secret of ['site-4711', 'secret-job', agentId, 'tributary.v1', 'Tributary fed'])
      assert.ok(!seen.includes(secret), `the proxy read ${secret}`);
    await federation.agents.get('site-4711')?.stop();
  });

  it('is looked at with the tunnel, and told who opens it', async () => {
    const own = await federation.writeSite(site('checked', behind(proxy)));
    const token = await federation.cliText('invite', 'checked');
    // Too long for the sockets by which gRPC gets into the tunnel.
    const [long, before] = [join(folder.path, 'x'.repeat(120)), process.env['TMPDIR']];
    await mkdir(long);
    process.env['TMPDIR'] = long;
    const { failed, line } = await checkHere(join(own, 'agent.yaml'), { token }).finally(() => {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    });
    assert.deepEqual(failed, []);
    assert.match(line('tunnel').found, /opened by CN=Corp Inspection/);
    assert.match(line('enrol/tls').found, /in the tunnel ends in the coordinator of this federation/);
    assert.match(line('coordinator').found, /would take this token/);
    await federation.writeSite(site('checked', { ...behind(proxy), caBundle: undefined }));
    const untrusted = await checkHere(join(own, 'agent.yaml'), { token });
    assert.match(untrusted.line('tunnel').found, /CN=Corp Inspection.*does not trust/);
    assert.match(untrusted.line('tunnel').fix ?? '', /caBundle/);
    await federation.writeSite(site('checked', { coordinator: { tunnel } }));
    const alone = await checkHere(join(own, 'agent.yaml'), { token });
    assert.match(alone.line('clock').found, /^within the dates of the certificate/);
    assert.match(alone.line('tunnel').found, /^nobody opens TLS .* of its own federation \(CN=Tributary /);
  });

  it('would be read without the tunnel: the search finds what there is', async () => {
    const reader = await InterceptingProxy.start('Corp Inspection');
    try {
      await writeFile(join(folder.path, 'reader.pem'), reader.authorityPem);
      const config = { ...behind(reader, null), caBundle: join(folder.path, 'reader.pem') };
      const { code, stderr } = await tryJoin('open-ward', config);
      assert.equal(code, 0, stderr);
      const got = reader.tunnels.flatMap(({ received }) => received);
      assert.ok(Buffer.concat(got).includes('open-ward'));
    } finally {
      await reader.stop();
    }
  });

  it('believes nothing that the proxy altered', async () => {
    const liar = await InterceptingProxy.start('Corp Inspection', ['http/1.1']);
    try {
      await writeFile(join(folder.path, 'liar.pem'), liar.authorityPem);
      // After the answer to the upgrade: a bit of each piece of what the coordinator says inside.
      liar.alter = (bytes) => {
        const at = bytes.length - 3;
        if (bytes.length > 400) bytes[at] = (bytes[at] ?? 0) ^ 1;
        return bytes;
      };
      const config = { ...behind(liar), caBundle: join(folder.path, 'liar.pem') };
      const { code, stderr } = await tryJoin('lied-to', config);
      assert.notEqual(code, 0);
      assert.match(stderr, /UNAVAILABLE|CA_MISMATCH/);
      liar.alter = undefined;
      assert.equal((await tryJoin('lied-to', config)).code, 0, 'the bits alone were in the way');
    } finally {
      await liar.stop();
    }
  });

  it('refuses a coordinator behind the tunnel that is not the one of the token', async () => {
    const other = await LocalFederation.start(join(folder.path, 'other'), 'other', '127.0.0.1', {
      env: { TRIBUTARY_TUNNEL_PORT: '0' },
    });
    try {
      const elsewhere = (await other.addresses()).tunnel ?? '';
      const { code, stderr } = await tryJoin('misled', behind(proxy, { tunnel: elsewhere }));
      assert.notEqual(code, 0);
      assert.match(stderr, /CA_MISMATCH/);
      const caDigest = decodeJoinToken(await federation.cliText('invite', 'digest')).caDigest;
      assert.ok(stderr.includes(caDigest));
    } finally {
      await other.stop();
    }
  });
});
