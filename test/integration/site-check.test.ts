import assert from 'node:assert/strict';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ERROR_TABLE } from '@tributary/proto';

import { AedesBroker } from '../support/aedes-broker.js';
import { BINARIES, repositoryRoot, runCommand } from '../support/daemon.js';
import { ConnectProxy } from '../support/connect-proxy.js';
import { LocalFederation } from '../support/federation.js';
import { freePort } from '../support/local-ports.js';
import { checkHere, checkOf, type SiteChecked } from '../support/site-checks.js';
import { InterceptingProxy } from '../support/intercepting-proxy.js';
import { ScriptedProxy } from '../support/scripted-proxy.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const ROWS = 'a,y\n1,yes\n2,no\n3,yes\n4,no\n';
const PASSWORD = 'a secret of the proxy';

describe('tributary-agent check', function () {
  this.timeout(120_000);
  let folder: TemporaryDirectory;
  let federation: LocalFederation;
  /** Of a site that never joins, and the file that holds it. */
  let token: string;
  let tokenFile: string;
  let sites = 0;

  before(async () => {
    folder = await temporaryDirectory();
    federation = await LocalFederation.start(join(folder.path, 'hub'));
    tokenFile = join(folder.path, 'token');
    token = await federation.cliText('invite', 'fresh');
    await writeFile(tokenFile, token, { mode: 0o600 });
  });
  after(async () => {
    await federation.stop();
    await folder.remove();
  });

  /** A site that has not joined; `config` replaces fields of its agent.yaml. */
  const siteWith = async (config: Readonly<Record<string, unknown>> = {}): Promise<string> => {
    sites += 1;
    const name = `site-${String(sites)}`;
    await federation.writeSite({
      name,
      csv: ROWS,
      dataset: 'rows',
      config: { trainer: { type: 'Socket', path: './trainer.sock' }, ...config },
    });
    return join(federation.siteFolder(name), 'agent.yaml');
  };
  const checkNew = async (
    config: Readonly<Record<string, unknown>> = {},
    given: { readonly token?: string; readonly fleet?: string } = { token },
  ): Promise<SiteChecked> => checkHere(await siteWith(config), given);

  it('finds nothing wrong before a site joins, and leaves nothing behind', async () => {
    const config = await siteWith({ trainer: { type: 'Tfjs', backend: 'Cpu' } });
    const before = await readdir(join(config, '..'));
    const own = join(folder.path, 'own-token');
    await writeFile(own, await federation.cliText('invite', 'own'));
    const { failed, line } = await checkOf(['--config', config, '--token-file', own]);
    assert.deepEqual(failed, []);
    assert.match(line('coordinator').found, /would take this token/);
    assert.match(line('enrol/tls').found, /ends in the coordinator of this federation/);
    assert.match(line('clock').found, /this machine is \d+ s (?:behind|ahead of) the coordinator/);
    assert.match(line('dataset/rows').found, /readable, 2 columns/);
    assert.match(line('gpu').found, /^cpu trains/);
    assert.match(line('policy').found, /authors [a-z]+; datasets rows; no federation root/);
    assert.match(line('volume').found, /which the first start makes: writable/);
    assert.deepEqual(await readdir(join(config, '..')), before);
    // Asked often, the token is still good for a join.
    const joined = await runCommand(BINARIES.agent, ['join', '--config', config, '--token-file', own]);
    assert.equal(joined.code, 0, joined.stderr);
  });

  it('speaks from the log of a join that does not get there', async () => {
    const config = await siteWith({ proxy: { url: `http://127.0.0.1:${String(await freePort())}` } });
    const { code, stdout, stderr } = await runCommand(BINARIES.agent, [
      ...['join', '--config', config, '--token-file', tokenFile],
    ]);
    assert.equal(code, ERROR_TABLE.UNAVAILABLE.exit, stderr);
    assert.match(stdout, /^FAIL +proxy +127\.0\.0\.1:\d+/m);
    assert.match(stdout, /^ +fix: /m);
    // Only what has to do with the way: the container that joins has no tables.
    assert.doesNotMatch(stdout, /dataset|gpu|^ok/m);
    assert.match(stderr, /^error: UNAVAILABLE/);
  });

  it('looks at a site that has joined, that is approved, and that runs', async () => {
    await federation.joinSite({ name: 'north', csv: ROWS, dataset: 'rows' });
    const config = join(federation.siteFolder('north'), 'agent.yaml');
    const state = join(federation.siteFolder('north'), 'data/state');
    const before = await fingerprint(state);
    const joined = await checkHere(config);
    assert.deepEqual(joined.failed, []);
    assert.match(joined.line('coordinator').found, /not approved yet/);
    assert.match(joined.line('coordinator').fix ?? '', /tributary approve north/);
    assert.match(joined.line('certificate').found, /valid for 2[34] h more/);
    assert.match(joined.line('fleet/tls').found, /ends in the coordinator/);
    assert.deepEqual(await fingerprint(state), before, 'the database was written to');
    await federation.cliText('approve', 'north');
    const agent = federation.startAgent('north');
    await eventually(
      'the agent to connect',
      async () =>
        (await federation.agentStatus('north').catch(() => undefined))?.connection === 'Connected' ||
        undefined,
    );
    const running = await checkHere(config);
    assert.deepEqual(running.failed, []);
    assert.match(running.line('process').found, /the agent runs here: Connected/);
    assert.match(running.line('coordinator').found, /approved/);
    await agent.stop();
    await federation.cliText('revoke', 'north');
    assert.match((await checkHere(config)).line('coordinator').found, /revoked/);
  });

  it('says that a token has been used, has expired, or is none', async () => {
    const invite = (site: string, ...args: readonly string[]): Promise<string> =>
      federation.cliText('invite', site, ...args);
    const used = await invite('used');
    const args = ['join', '--config', await siteWith(), '--token', used.trim()];
    assert.equal((await runCommand(BINARIES.agent, args)).code, 0);
    assert.match((await checkNew({}, { token: used })).line('coordinator').found, /used before/);
    const short = await invite('short', '--ttl', '1s');
    await eventually('the token to expire', async () => {
      const { line } = await checkNew({}, { token: short });
      return /expired/.test(line('coordinator').found) || undefined;
    });
    const replaced = await invite('twice');
    await invite('twice');
    assert.match((await checkNew({}, { token: replaced })).line('coordinator').found, /newer one/);
    assert.match((await checkNew({}, { token: 'trib1.half' })).line('token').found, /not a join token/);
    assert.match((await checkNew({}, {})).line('coordinator').fix ?? '', /--token-file/);
  });

  it('names a port that nobody listens on, and a name that nobody knows', async () => {
    const closed = await checkNew({}, { token, fleet: '127.0.0.1:1' });
    assert.match(closed.line('fleet').found, /127\.0\.0\.1:1: nobody listens there/);
    const unknown = await checkNew({}, { token, fleet: 'hub.invalid:443' });
    assert.match(unknown.line('dns/hub.invalid').found, /name/);
    assert.deepEqual([...unknown.failed].sort(), ['dns/hub.invalid', 'fleet']);
  });

  it('has lines for an address that is none, and a password that is missing', async () => {
    const odd = await checkNew({}, { token, fleet: 'hub.example.org' });
    assert.deepEqual([...odd.failed], ['fleet']);
    assert.match(odd.line('fleet').found, /an address has the form host:port/);
    assert.match(odd.line('fleet').fix ?? '', /hub\.example\.org:7443/);
    assert.equal(odd.line('enrol').verdict, 'Ok');
    const passwordFile = join(folder.path, 'no-password');
    const proxy = { url: 'http://127.0.0.1:9', username: 'site', passwordFile };
    const locked = await checkNew({ proxy });
    assert.deepEqual([...locked.failed], ['proxy']);
    assert.match(locked.line('proxy').found, /no-password: does not exist/);
    assert.match(locked.line('proxy').fix ?? '', /proxy\.passwordFile/);
    assert.match(locked.line('dataset/rows').found, /readable/);
  });

  it('tells wrong credentials from a proxy that is away, and never says the password', async () => {
    const proxy = await ConnectProxy.start('site', 'right');
    try {
      const passwordFile = join(folder.path, 'password');
      await writeFile(passwordFile, `${PASSWORD}\n`);
      const url = `http://127.0.0.1:${String(proxy.port)}`;
      const wrong = await checkNew({ proxy: { url, username: 'site', passwordFile } });
      assert.match(wrong.line('enrol').found, /refuses the user name or the password \(407\)/);
      assert.match(wrong.line('enrol').fix ?? '', /proxy\.passwordFile/);
      assert.ok(!JSON.stringify(wrong).includes(PASSWORD));
      assert.match((await checkNew({ proxy: { url } })).line('enrol').found, /agent\.yaml gives none/);
      await writeFile(passwordFile, 'right\n');
      const right = await checkNew({ proxy: { url, username: 'site', passwordFile } });
      assert.deepEqual(right.failed, []);
      assert.match(right.line('enrol').found, /through proxy 127\.0\.0\.1/);
    } finally {
      await proxy.stop();
    }
    const away = await checkNew({ proxy: { url: 'http://127.0.0.1:9' } });
    assert.match(away.line('proxy').found, /127\.0\.0\.1:9: nobody listens there/);
  });

  it('says what a proxy asks for that the agent cannot give, and what gives it', async () => {
    const challenges =
      'Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n';
    const proxy = await ScriptedProxy.start({
      ...{ answer: `HTTP/1.1 407 Proxy Authentication Required\r\n${challenges}`, keeps: false },
    });
    try {
      const passwordFile = join(folder.path, 'domain-password');
      await writeFile(passwordFile, PASSWORD);
      for (const credentials of [{}, { username: 'CORP\\\\site', passwordFile }]) {
        const { line } = await checkNew({ proxy: { url: proxy.url, ...credentials } });
        assert.match(line('enrol').found, /takes NTLM, Negotiate and no Basic \(407\)/);
        assert.match(line('enrol').fix ?? '', /gateway .* such as cntlm or px, and name that in proxy\.url/);
      }
    } finally {
      await proxy.stop();
    }
  });

  it('tells a proxy that says nothing from one that opens a tunnel, and then drops, cuts or answers itself', async () => {
    const opened = 'HTTP/1.1 200 Connection established\r\n\r\n';
    const page = `${opened}HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n`;
    const proxies = await Promise.all([
      ScriptedProxy.start({ answer: opened, keeps: true }),
      ScriptedProxy.start({ answer: opened, keeps: false }),
      ScriptedProxy.start({ answer: page, keeps: true }),
      ScriptedProxy.start({ answer: '', keeps: true }),
      ScriptedProxy.start({ answer: '', keeps: false }),
      ScriptedProxy.start({ answer: '\x15\x03\x01\0\x02\x02\x46', keeps: false }),
    ]);
    try {
      const checks = await Promise.all(proxies.map(({ url }) => checkNew({ proxy: { url } })));
      const said = [
        /opened the tunnel to \S+, and nothing comes back .*accepts, and drops what follows/,
        /opened the tunnel to \S+, and cut it when TLS began/,
        /what answers in it is no TLS/,
        /no answer within 4 s at the proxy to CONNECT .*allow CONNECT to/,
        /the connection was cut at the proxy to CONNECT .*wants TLS itself \(https:\/\/\)/,
        /speaks no HTTP .*correct proxy\.url; .*SOCKS cannot be used/,
      ];
      for (const [index, { line }] of checks.entries()) {
        const { found, fix = '' } = line('enrol');
        assert.match(`${found} ${fix}`, said[index] ?? /^$/);
        assert.equal(line('proxy').verdict, 'Ok');
      }
    } finally {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
    }
  });

  it('tells a port of something else than TLS from one that nobody listens on', async () => {
    const page = await ScriptedProxy.start({ answer: 'HTTP/1.1 400 Bad Request\r\n\r\n', keeps: false });
    try {
      const { line } = await checkNew({}, { token, fleet: new URL(page.url).host });
      assert.match(line('fleet').found, /speaks no TLS/);
    } finally {
      await page.stop();
    }
  });

  it('names who opens TLS, whether its authority is trusted here or not', async () => {
    const proxy = await InterceptingProxy.start('Corp Inspection');
    try {
      const caBundle = join(folder.path, 'corp.pem');
      await writeFile(caBundle, proxy.authorityPem);
      const url = `http://127.0.0.1:${String(proxy.port)}`;
      const stranger = await checkNew({ proxy: { url } });
      assert.match(
        stranger.line('enrol/tls').found,
        /issued by CN=Corp Inspection, not by the federation, and neither caBundle nor this machine trusts/,
      );
      assert.match(stranger.line('enrol/tls').fix ?? '', /ask who runs the network/);
      // A fake says the same name: what counts is the key.
      const fake = await InterceptingProxy.start('Corp Inspection');
      await fake.stop();
      const [ownStore, fakeStore] = [caBundle, join(folder.path, 'fake.pem')];
      await writeFile(fakeStore, fake.authorityPem);
      const config = await siteWith({ proxy: { url } });
      const known = await checkHere(config, { token, trustStores: [fakeStore, ownStore] });
      assert.match(known.line('enrol/tls').found, /this machine trusts that authority \(\S+corp\.pem\)/);
      assert.doesNotMatch(known.line('enrol/tls').fix ?? '', /ask who runs the network/);
      const faked = await checkHere(config, { token, trustStores: [fakeStore, tokenFile, '/nowhere'] });
      assert.match(faked.line('enrol/tls').found, /neither caBundle nor this machine trusts/);
      const trusted = await checkNew({ proxy: { url }, caBundle });
      assert.match(trusted.line('enrol/tls').found, /caBundle trusts that authority/);
      assert.match(trusted.line('enrol/tls').fix ?? '', /coordinator\.tunnel/);
      assert.equal(trusted.ok, false);
    } finally {
      await proxy.stop();
    }
    const bundle = await checkNew({ caBundle: tokenFile });
    assert.match(bundle.line('ca-bundle').found, /holds no certificate/);
  });

  it('reads policy, datasets and agent.yaml as the agent would', async () => {
    const config = await siteWith();
    await writeFile(join(config, '../policy.yaml'), 'kind: SitePolicy\n');
    await writeFile(join(config, '../rows.csv'), 'a,y\n');
    const { line, ok } = await checkHere(config, { token });
    assert.equal(ok, false);
    assert.match(line('policy').found, /DOCUMENT_INVALID/);
    assert.match(line('dataset/rows').found, /no row|empty|DATASET/);
    const [policy, sealKeyFile] = ['./nowhere.yaml', './short.key'];
    const lacking = await siteWith({ policy, sealKeyFile });
    await writeFile(join(lacking, '../short.key'), 'c2hvcnQ=', { mode: 0o600 });
    const without = await checkHere(lacking, { token });
    assert.deepEqual(without.failed, ['seal-key', 'policy']);
    assert.match(without.line('policy').found, /nowhere\.yaml is not there: every job is refused/);
    assert.match(without.line('seal-key').found, /short\.key holds neither 32 bytes nor their base64/);
    await writeFile(config, 'formatVersion: 1\ndataDir: ./data\nproxi: {}\n');
    const typo = await checkHere(config, { token });
    assert.deepEqual(typo.failed, ['agent.yaml']);
    assert.match(typo.line('agent.yaml').found, /proxi: unknown field/);
  });

  it('names the subscriptions that a broker refuses', async () => {
    const broker = await AedesBroker.start('ward/');
    try {
      const config = await siteWith({
        brokers: [{ name: 'ward', url: `mqtt://127.0.0.1:${String(broker.port)}`, protocol: 'V3' }],
        pipelines: [join(repositoryRoot, 'deploy/examples/streams/beats.yaml')],
      });
      const { failed, line } = await checkHere(config, { token });
      assert.deepEqual(failed, ['broker/ward']);
      assert.match(line('broker/ward').found, /refuses the subscription to ward\/\+\/bed\/\+\/ecg/);
      assert.match(line('broker/ward').fix ?? '', /ACL/);
      const authority = { url: `mqtts://127.0.0.1:${String(broker.port)}`, caFile: config };
      const noPem = await checkNew({ brokers: [{ name: 'ward', ...authority }] });
      assert.match(noPem.line('broker/ward').found, /agent\.yaml holds no certificate/);
    } finally {
      await broker.stop();
    }
  });

  it('prints lines for people with the same verdicts', async () => {
    const args = ['check', '--config', await siteWith(), '--token-file', tokenFile, '--fleet', '127.0.0.1:1'];
    const { code, stdout, stderr } = await runCommand(BINARIES.agent, args);
    assert.equal(code, 1);
    assert.equal(stderr, '');
    assert.match(stdout, /^ok {4}enrol +127\.0\.0\.1:\d+ answers$/m);
    assert.match(stdout, /^FAIL {2}fleet +127\.0\.0\.1:1: nobody listens there\n +fix: /m);
    assert.match(stdout, /1 of \d+ checks failed\.\n$/);
    assert.ok(!stdout.includes(token.trim()));
  });
});

/** Names, sizes and times of the files of a folder. */
async function fingerprint(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs } = await stat(join(folder, name));
      return `${name} ${String(size)} ${String(mtimeMs)}`;
    }),
  );
}
