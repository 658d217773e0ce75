import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ModelDirectory } from '@tributary/edge-agent/internal/adapters/models/model-directory.js';
import { ERROR_TABLE } from '@tributary/proto';
import { stringify } from 'yaml';

import { BINARIES, Daemon, runCommand, type Finished } from '../support/daemon.js';
import { ScriptedCoordinator, SITE } from '../support/scripted-coordinator.js';
import { newModel, registeredModel } from '../support/served-model.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

describe('tributary-agent', function () {
  this.timeout(60_000);
  let coordinator: ScriptedCoordinator;
  let folder: TemporaryDirectory;
  let config: string;
  let daemon: Daemon | undefined;

  beforeEach(async () => {
    coordinator = await ScriptedCoordinator.start();
    folder = await temporaryDirectory();
    config = join(folder.path, 'agent.yaml');
    await mkdir(join(folder.path, 'data'));
    await writeFile(
      config,
      stringify({
        formatVersion: 1,
        dataDir: './data',
        metricsPort: 0,
        datasets: [{ name: 'loans', path: 'loans.csv', format: 'Csv' }],
      }),
    );
    await writeFile(join(folder.path, 'token'), `${coordinator.tokenText()}\n`);
  });

  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    coordinator.stop();
    await folder.remove();
  });

  const agent = (...args: readonly string[]): Promise<Finished> =>
    runCommand(BINARIES.agent, [...args, '--config', config]);
  const join_ = (): Promise<Finished> => agent('join', '--token-file', join(folder.path, 'token'));
  const run = (logFile = 'agent.log'): Daemon =>
    (daemon = new Daemon({
      script: BINARIES.agent,
      args: ['run', '--config', config],
      logFile: join(folder.path, logFile),
    }));

  it('joins, runs, shows its status on a private socket, and stops when it is told to', async () => {
    const joined = await join_();
    assert.equal(joined.code, 0, joined.stderr);
    assert.match(joined.stdout, new RegExp(`Joined as site ${SITE}`));
    assert.match((await join_()).stdout, /Already joined/);
    const running = run();
    await eventually('a stream', () => (coordinator.streams.size > 0 ? true : undefined));
    const socket = join(folder.path, 'data/run/agent.sock');
    assert.equal((await stat(socket)).mode & 0o777, 0o600);
    const status = await eventually('the status', async () => {
      const { code, stdout } = await agent('status', '-o', 'json');
      const parsed =
        code === 0 ? (JSON.parse(stdout) as { connection: string; egress: { control: string } }) : undefined;
      return parsed?.connection === 'Connected' ? parsed : undefined;
    });
    assert.ok(Number(status.egress.control) > 0);
    assert.match((await agent('status')).stdout, new RegExp(`Site: +${SITE}`));
    const twin = await agent('run');
    assert.equal(twin.code, ERROR_TABLE.STORE_LOCKED.exit);
    assert.match(twin.stderr, /STORE_LOCKED/);
    assert.deepEqual(await running.stop(), { code: 0, signal: null });
    assert.equal((await agent('status')).code, ERROR_TABLE.UNAVAILABLE.exit);
  });

  it('answers for the models of its data directory while it runs', async () => {
    await join_();
    const models = await ModelDirectory.open(join(folder.path, 'data/models'));
    await models.put(newModel(registeredModel({ version: 4 })));
    await models.point('trial', { current: 4 });
    const rows = join(folder.path, 'row.json');
    await writeFile(rows, '{"x1":0.5,"x2":1,"c":"red"}');
    run();
    const { stdout } = await eventually('a prediction', async () => {
      const asked = await agent('predict', '-f', rows);
      return asked.code === 0 ? asked : undefined;
    });
    assert.match(stdout, /^1 {2}trial@4 {2}yes=0\.\d{6}/);
    assert.deepEqual(await daemon?.stop(), { code: 0, signal: null });
    const predictions = join(folder.path, 'data/predictions/oip');
    const [file = ''] = await readdir(predictions);
    const log = await readFile(join(predictions, file), 'utf8');
    assert.match(log, /"model":"trial","version":4,"source":"oip"/);
    assert.equal((await agent('predict', '-f', rows)).code, ERROR_TABLE.UNAVAILABLE.exit);
  });

  it('writes no token and no key into logs, output or the data directory', async () => {
    const text = coordinator.tokenText();
    const joined = await join_();
    run();
    await eventually('a stream', () => (coordinator.streams.size > 0 ? true : undefined));
    await daemon?.stop();
    const seed = Buffer.from(coordinator.token().seed);
    const log = await readFile(join(folder.path, 'agent.log'));
    for (const place of [Buffer.from(joined.stdout + joined.stderr), log]) {
      for (const secret of [
        Buffer.from(text),
        seed,
        Buffer.from(seed.toString('base64')),
        Buffer.from('PRIVATE KEY'),
      ])
        assert.ok(!place.includes(secret));
    }
  });

  it('is killed at any time and goes on', async () => {
    await join_();
    run('first.log');
    await eventually('a stream', () => (coordinator.streams.size > 0 ? true : undefined));
    await daemon?.stop('SIGKILL');
    coordinator.streams.clear();
    run('second.log');
    await eventually('a stream again', () => (coordinator.streams.size > 0 ? true : undefined));
    assert.deepEqual(
      coordinator.messages('hello').map(({ sessionEpoch }) => BigInt(sessionEpoch) >> 32n),
      [1n, 2n],
    );
  });

  it('ends with the exit code of what is wrong', async () => {
    const cases: readonly (readonly [args: readonly string[], code: keyof typeof ERROR_TABLE])[] = [
      [['run'], 'UNAUTHENTICATED'],
      [['join'], 'USAGE'],
      [['join', '--token', 'trib1.nonsense'], 'TOKEN_INVALID'],
      [['join', '--token-file', '/no/such/file'], 'CONFIG_INVALID'],
      [['status', '-o', 'xml'], 'USAGE'],
      [['dance'], 'USAGE'],
    ];
    for (const [args, code] of cases) {
      const finished = await agent(...args);
      assert.equal(finished.code, ERROR_TABLE[code].exit, `${args.join(' ')}: ${finished.stderr}`);
    }
  });

  it('says in its log, as it starts, what is wrong with the policy of the site', async () => {
    assert.equal((await join_()).code, 0);
    const policy = join(folder.path, 'policy.yaml');
    const settings = { formatVersion: 1, dataDir: './data', policy: './policy.yaml', datasets: [] };
    await writeFile(config, stringify(settings));
    const says = async (name: string, text: string, expected: RegExp): Promise<void> => {
      await writeFile(policy, text);
      const running = run(name);
      const line = await eventually(name, async () => expected.exec(await running.log())?.[0]);
      assert.match(line, /every job is refused/);
      await running.stop();
    };
    const head = 'apiVersion: tributary.dev/v1alpha1\nkind: SitePolicy\nmetadata: { name: north }\n';
    await says(
      'range.log',
      `${head}spec: { authors: [], datasets: [], retriesPerBase: 99 }\n`,
      /.*retriesPerBase.*at most.*refused.*/,
    );
    await says('broken.log', `${head}spec: { authors: [\n`, /.*not YAML.*line.*refused.*/);
  });
});
