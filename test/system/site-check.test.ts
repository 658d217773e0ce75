import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { CheckLine } from '@tributary/edge-agent/internal/domain/site-check/check-line.js';
import { decodeJoinToken, encodeJoinToken } from '@tributary/proto';

import { faketimeLibrary, tool, withoutRoot, withoutTool } from '../support/system-tools.js';
import { BINARIES, repositoryRoot } from '../support/daemon.js';
import { execute } from '../support/kube/charts.js';
import { LocalFederation } from '../support/federation.js';
import { freePort } from '../support/local-ports.js';
import { Mosquitto, mosquittoInstalled } from '../support/mosquitto.js';
import { checkHere, checkOf, type SiteChecked } from '../support/site-checks.js';
import { networkNamespace } from '../support/network-namespace.js';
import { Squid, squidInstalled } from '../support/squid.js';

const USER = 'site';
const PASSWORD = 'correct horse';
const ROWS = 'a,y\n1,yes\n2,no\n';
const MIB = 1024 * 1024;

describe('tributary-agent check with what sites have', function () {
  this.timeout(120_000);
  let folder: string;
  let federation: LocalFederation;
  let token: string;
  let sites = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-check-'));
    // Squid and Mosquitto run as their own users and must be able to enter.
    await chmod(folder, 0o755);
    federation = await LocalFederation.start(join(folder, 'hub'));
    token = await federation.cliText('invite', 'fresh');
  });
  after(async () => {
    await federation.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const siteWith = async (
    config: Readonly<Record<string, unknown>>,
    files: Readonly<Record<string, string>> = {},
  ): Promise<string> => {
    sites += 1;
    const name = `site-${String(sites)}`;
    const trainer = { type: 'Socket', path: './trainer.sock' };
    await federation.writeSite({ name, csv: ROWS, dataset: 'rows', config: { trainer, ...config }, files });
    return join(federation.siteFolder(name), 'agent.yaml');
  };
  const check = async (...args: Parameters<typeof siteWith>): Promise<SiteChecked> =>
    checkHere(await siteWith(...args), { token });

  it('a Squid that asks for credentials, and lets nobody reach another port (needs squid and openssl)', async function () {
    if (!squidInstalled()) this.skip();
    const { enrol } = await federation.addresses();
    const refused = await freePort();
    const own = join(folder, 'squid');
    await mkdir(own);
    const squid = await Squid.start(own, USER, PASSWORD, [
      `acl forbidden port ${String(refused)}`,
      'http_access deny forbidden',
    ]);
    try {
      const proxyWith = async (password: string) => ({
        url: `http://127.0.0.1:${String(squid.port)}`,
        username: USER,
        passwordFile: await fileOf('squid-password', password),
      });
      const right = await checkHere(await siteWith({ proxy: await proxyWith(PASSWORD) }), {
        token,
        fleet: `127.0.0.1:${String(refused)}`,
      });
      assert.deepEqual(right.failed, ['fleet']);
      assert.match(right.line('enrol').found, /through proxy/);
      assert.match(right.line('coordinator').found, /would take this token/);
      assert.match(right.line('fleet').found, /does not let this site reach 127\.0\.0\.1:\d+ \(403\)/);
      const wrong = await check({ proxy: await proxyWith('wrong battery') });
      assert.match(wrong.line('enrol').found, /refuses the user name or the password \(407\)/);
      assert.ok(!JSON.stringify(wrong.lines).includes('wrong battery'));
      const none = await check({ proxy: { url: `http://127.0.0.1:${String(squid.port)}` } });
      assert.match(none.line('enrol').found, /asks for a user name and a password \(407\)/);
      const log = await squid.accessLog();
      assert.ok(log.some((line) => line.includes(`CONNECT ${enrol}`) && line.includes('TCP_TUNNEL/200')));
    } finally {
      await squid.stop();
    }
    const away = await check({ proxy: { url: `http://127.0.0.1:${String(squid.port)}` } });
    assert.match(away.line('proxy').found, /nobody listens there/);
  });

  it('a Mosquitto with passwords and an ACL (needs mosquitto)', async function () {
    if (!mosquittoInstalled()) this.skip();
    const own = join(folder, 'mosquitto');
    await mkdir(own);
    const passwords = join(own, 'passwords');
    execFileSync('mosquitto_passwd', ['-b', '-c', passwords, USER, PASSWORD]);
    const acl = join(own, 'acl');
    await writeFile(acl, `user ${USER}\ntopic read ward/+/bed/+/ecg\n`);
    for (const file of [passwords, acl]) await chmod(file, 0o644);
    const lines = ['allow_anonymous false', `password_file ${passwords}`, `acl_file ${acl}`];
    const broker = await Mosquitto.start(own, lines);
    try {
      const at = (password: string, port = broker.port, scheme = 'mqtt') => ({
        name: 'ward',
        url: `${scheme}://127.0.0.1:${String(port)}`,
        username: USER,
        passwordFile: `./${password}`,
      });
      const beats = await readFile(join(repositoryRoot, 'deploy/examples/streams/beats.yaml'), 'utf8');
      const files = { right: PASSWORD, wrong: 'wrong battery', 'beats.yaml': beats };
      const right = await check({ brokers: [at('right')], pipelines: ['./beats.yaml'] }, files);
      assert.deepEqual(right.failed, []);
      assert.match(right.line('broker/ward').found, /takes the agent and its subscriptions/);
      const wrong = await check({ brokers: [at('wrong')] }, files);
      assert.match(wrong.line('broker/ward').found, /not authorized|bad user name or password/);
      assert.match(wrong.line('broker/ward').fix ?? '', /correct brokers\[\]\.username/);
      assert.ok(!JSON.stringify(wrong.lines).includes('wrong battery'));
      const plain = await check({ brokers: [at('right', broker.port, 'mqtts')] }, files);
      assert.match(plain.line('broker/ward').found, /speaks no TLS|closed|cannot be reached/);
      const closed = await check({ brokers: [at('right', await freePort())] }, files);
      assert.match(closed.line('broker/ward').found, /nobody listens there/);
    } finally {
      await broker.leave();
    }
  });

  it('a clock that is two days ahead, and one that is a day behind (needs libfaketime)', async function () {
    const library = faketimeLibrary();
    if (library === undefined) this.skip();
    const config = await siteWith({});
    const tokenFile = await fileOf('token', token);
    for (const [offset, words] of [
      ['+2d', /48 h ahead of the coordinator/],
      ['-1d', /24 h behind the coordinator/],
    ] as const) {
      const env = { LD_PRELOAD: library, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
      const { failed, line } = await checkOf(['--config', config, '--token-file', tokenFile], env);
      assert.ok(failed.includes('clock'), line('clock').found);
      assert.match(line('clock').found, words);
      assert.match(line('clock').fix ?? '', /chrony/);
    }
  });

  const walled = withoutRoot() ?? withoutTool('ip', '-V') ?? withoutTool('nft', '--version');
  it(`a firewall that drops, told apart from a port that is closed${walled === undefined ? '' : ` (${walled})`}`, async function () {
    if (walled !== undefined) this.skip();
    const network = networkNamespace();
    const nft = (...words: readonly string[]): string =>
      tool('ip', 'netns', 'exec', network.name, 'nft', 'add', ...words);
    try {
      nft('table', 'inet', 'wall');
      nft('chain', 'inet', 'wall', 'out', '{ type filter hook output priority 0 ; }');
      nft('rule', 'inet', 'wall', 'out', 'tcp', 'dport', '7443', 'drop');
      const enrolAddress = '127.0.0.1:7444';
      const tokenFile = await fileOf('walled', encodeJoinToken({ ...decodeJoinToken(token), enrolAddress }));
      const { stdout, stderr } = await execute('ip', [
        ...['netns', 'exec', network.name, process.execPath, BINARIES.agent, 'check', '--json'],
        ...['--config', await siteWith({}), '--token-file', tokenFile, '--fleet', '127.0.0.1:7443'],
      ]);
      const { checks } = JSON.parse(stdout) as { readonly checks: readonly CheckLine[] };
      const line = (name: string): CheckLine | undefined => checks.find(({ check: one }) => one === name);
      assert.match(line('enrol')?.found ?? stderr, /^127\.0\.0\.1:7444: nobody listens there$/);
      assert.match(line('fleet')?.found ?? stderr, /^127\.0\.0\.1:7443: no answer$/);
      assert.match(
        line('fleet')?.fix ?? '',
        /^a firewall drops it: ask for an outgoing rule to 127\.0\.0\.1:7443/,
      );
    } finally {
      network.remove();
    }
  });

  it('a volume that is full, and one that is read-only (needs the right to mount a tmpfs)', async function () {
    const disk = await mkdtemp(join(tmpdir(), 'tributary-disk-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=80m,mode=700', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      await rm(disk, { recursive: true });
      this.skip();
    }
    try {
      const config = await siteWith({ dataDir: disk });
      const small = await checkHere(config, { token });
      assert.equal(small.line('volume').verdict, 'Note');
      assert.match(small.line('volume').found, /0\.08 GiB free/);
      await writeFile(join(disk, 'ballast'), new Uint8Array(128 * MIB)).catch(() => undefined);
      const full = await checkHere(config, { token });
      assert.deepEqual(full.failed, ['volume']);
      assert.match(full.line('volume').found, /the disk is full/);
      execFileSync('mount', ['-o', 'remount,ro', disk]);
      assert.match((await checkHere(config, { token })).line('volume').found, /read-only/);
    } finally {
      execFileSync('umount', [disk]);
      await rm(disk, { recursive: true });
    }
  });

  async function fileOf(name: string, text: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, `${text}\n`, { mode: 0o600 });
    return path;
  }
});
