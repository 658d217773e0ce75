import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TWO_ROWS, wideJob } from '../bench/wide-job.js';
import { LocalFederation } from '../support/federation.js';
import { Squid, squidInstalled } from '../support/squid.js';
import { eventually } from '../support/waiting.js';

const USER = 'site';
const PASSWORD = 'correct horse';
const AGENT_SCRIPT = join(import.meta.dirname, '../bench/agent-main.js');

describe('an agent behind a real Squid (needs squid and openssl)', function () {
  this.timeout(120_000);
  let folder: string;
  let squid: Squid;
  let federation: LocalFederation;

  before(async function () {
    if (!squidInstalled()) this.skip();
    folder = await mkdtemp(join(tmpdir(), 'tributary-squid-'));
    await mkdir(join(folder, 'squid'));
    // Squid runs as its own user and must be able to enter.
    await chmod(folder, 0o755);
    squid = await Squid.start(join(folder, 'squid'), USER, PASSWORD);
    federation = await LocalFederation.start(join(folder, 'federation'));
  });

  after(async () => {
    // Absent where the suite was skipped.
    await (federation as LocalFederation | undefined)?.stop();
    await (squid as Squid | undefined)?.stop();
    if ((folder as string | undefined) !== undefined) await rm(folder, { recursive: true, force: true });
  });

  const proxyWith = async (password: string) => {
    const passwordFile = join(folder, `password-${String(password.length)}`);
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    return { proxy: { url: `http://127.0.0.1:${String(squid.port)}`, username: USER, passwordFile } };
  };

  it('joins, trains and reports through the proxy with its credentials', async () => {
    const config = await proxyWith(PASSWORD);
    await federation.addSite({
      name: 'site-0',
      csv: TWO_ROWS,
      dataset: 'rows',
      script: AGENT_SCRIPT,
      config,
    });
    await federation.apply(wideJob('through', 1, 2, 1));
    await federation.cliText('wait', 'fj/through', '--for', 'condition=Complete', '--timeout', '60s');
    await federation.agents.get('site-0')?.stop();
    const lines = await eventually('the tunnels in the access log', async () => {
      const log = await squid.accessLog();
      return log.filter((line) => line.includes('TCP_TUNNEL/200')).length >= 2 ? log : undefined;
    });
    const { enrol, fleet } = await federation.addresses();
    const tunnelled = (address: string): boolean =>
      lines.some((line) => line.includes(`CONNECT ${address}`) && line.includes(USER));
    assert.ok(tunnelled(enrol), 'enrolment did not go through the proxy');
    assert.ok(tunnelled(fleet), 'the fleet connection did not go through the proxy');
  });

  it('names the proxy where it refuses the credentials', async () => {
    const config = await proxyWith('wrong');
    await assert.rejects(
      federation.joinSite({ name: 'site-1', csv: TWO_ROWS, dataset: 'rows', config }),
      (error: Error) => {
        assert.match(error.message, /UNAVAILABLE/);
        assert.match(error.message, /proxy/i);
        assert.ok(!error.message.includes('wrong\n'), 'the password is in the message');
        return true;
      },
    );
  });

  it('says that no proxy answers where there is none', async () => {
    const config = { proxy: { url: 'http://127.0.0.1:9' } };
    await assert.rejects(
      federation.joinSite({ name: 'site-2', csv: TWO_ROWS, dataset: 'rows', config }),
      /UNAVAILABLE.*proxy/is,
    );
  });
});

describe('certificates of the federation under openssl (needs openssl)', function () {
  this.timeout(120_000);

  it('verify as a chain for their purpose, and for no other', async function () {
    if (!squidInstalled()) this.skip();
    const folder = await mkdtemp(join(tmpdir(), 'tributary-openssl-'));
    const federation = await LocalFederation.start(folder);
    try {
      const { fleet } = await federation.addresses();
      const shown = await openssl([
        's_client',
        '-connect',
        fleet,
        '-showcerts',
        '-servername',
        'coordinator.tributary.internal',
      ]);
      const [leaf = '', ca = ''] =
        shown.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
      await writeFile(join(folder, 'leaf.pem'), leaf);
      await writeFile(join(folder, 'ca.pem'), ca);
      const verify = (...options: string[]): Promise<string> =>
        openssl([
          'verify',
          '-x509_strict',
          '-CAfile',
          join(folder, 'ca.pem'),
          ...options,
          join(folder, 'leaf.pem'),
        ]);
      assert.match(
        await verify('-purpose', 'sslserver', '-verify_hostname', 'coordinator.tributary.internal'),
        /leaf\.pem: OK/,
      );
      assert.doesNotMatch(await verify('-purpose', 'sslclient'), /leaf\.pem: OK/);
      assert.doesNotMatch(await verify('-verify_hostname', 'another.example'), /leaf\.pem: OK/);
    } finally {
      await federation.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

/** Output of openssl, whether it was content or not. */
function openssl(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('error', reject);
    child.once('close', () => resolve(output));
    child.stdin.end();
  });
}
