import assert from 'node:assert/strict';
import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeEntry, type FederatedJobInput } from '@tributary/proto';
import { callServerStream, Fleet, type FetchBlobRequest } from '@tributary/proto/grpc';
import type { RolloutStatus, SiteStatus } from '@tributary/proto/internal/documents/status.js';
import { stringify } from 'yaml';

import { call } from '../support/channels.js';
import { BINARIES, runCommand } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { drawPeerKeys, FleetPeer } from '../support/fleet-peer.js';
import { Operator } from '../support/operator.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { Replica } from '../support/replica.js';
import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const FEATURES = [
  { name: 'x', type: 'Numeric', scaling: 'Site' },
  { name: 'y', type: 'Numeric' },
  { name: 'color', type: 'Categorical', categories: ['red', 'blue'] },
] satisfies FederatedJobInput['spec']['features'];

/** An agent that trains and two replicas of one site, as processes, driven by commands. */
describe('inference replicas', function () {
  this.timeout(180_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let first: Replica;
  let second: Replica;

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'));
    const policy = { serving: { models: ['points'] } };
    await federation.addSite({ name: 'north', csv: pointsOf(1, 120).csv, dataset: 'points', policy });
    await federation.apply(pointsJob('one', { rounds: 1, minSites: 1, features: FEATURES }));
    await federation.cliText('wait', '--for=condition=Complete', 'fj/one', '--timeout', '90s');
    [first, second] = (await Promise.all(
      ['first', 'second'].map((name) => Replica.join(federation, { name, site: 'north' })),
    )) as [Replica, Replica];
    first.start();
    second.start();
  });

  after(async function () {
    await Promise.all([first.stop(), second.stop()]);
    await federation.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  const rollout = async (): Promise<RolloutStatus> =>
    (await federation.object('rollout/points'))['status'] as RolloutStatus;

  it('are counted apart from the agent', async () => {
    const status = await eventually('both to connect', async () => {
      const found = (await federation.object('site/north'))['status'] as SiteStatus;
      return found.replicas.ready === 2 ? found : undefined;
    });
    assert.deepEqual(
      [status.trainers, status.replicas],
      [
        { joined: 1, ready: 1 },
        { joined: 2, ready: 2 },
      ],
    );
    assert.match(await federation.cliText('get', 'sites'), /REPLICAS[^]*north .* 2\/2 /);
  });

  it('say what they miss of a model that each site scales, while the agent serves', async () => {
    const path = join(federation.folder, 'rollout.yaml');
    const spec = { model: 'points', steps: [{ version: 1 }] };
    const document = {
      apiVersion: 'tributary.dev/v1alpha1',
      kind: 'ModelRollout',
      metadata: { name: 'points' },
      spec,
    };
    await writeFile(
      path,
      stringify({ ...document, spec: { ...spec, steps: [{ version: 1 }, { version: 1 }] } }),
    );
    const two = await federation.cli('apply', '-f', path);
    assert.match(two.stderr, /DOCUMENT_UNSUPPORTED: .*spec\.steps\[1\]: more than one step/);
    await writeFile(path, stringify(document));
    assert.match(await federation.cliText('apply', '-f', path), /created/);
    assert.match(await federation.cliText('apply', '-f', path), /unchanged/);
    assert.match(await federation.cliText('rollout', 'set', 'points@1'), /unchanged/);
    const status = await eventually('refusal and service', async () => {
      const found = await rollout();
      const [agent] = (await federation.agentStatus('north')).serving;
      return found.sites.refused === 1 && agent?.version === 1 ? found : undefined;
    });
    assert.deepEqual([status.sites.serving, status.replicas], [0, { selected: 2, serving: 0 }]);
    assert.match(
      status.refusals.map(({ site, code, detail }) => `${site} ${code} ${detail}`).join(),
      /^north CONFIG_INVALID serving\.fits: no file has what site north learnt of x/,
    );
  });

  it('serve and answer as the agent does, with what it exported', async () => {
    const fits = join(federation.folder, 'fits.json');
    const agentYaml = join(federation.siteFolder('north'), 'agent.yaml');
    const exported = await runCommand(BINARIES.agent, [
      'fits',
      'export',
      '--to',
      fits,
      '--config',
      agentYaml,
    ]);
    assert.match(exported.stdout, /in 1 job; it stays at the site/, exported.stderr);
    assert.equal((await stat(fits)).mode & 0o777, 0o600);
    for (const replica of [first, second]) {
      await replica.stop();
      await replica.configure({ serving: { fits: [fits] } });
      replica.start();
    }
    await eventually(
      'everybody to serve',
      async () => {
        const { phase, replicas } = await rollout();
        return (phase === 'Complete' && replicas.serving === 2) || undefined;
      },
      60_000,
    );
    const rows = join(federation.folder, 'row.json');
    await writeFile(rows, '{"x":0.4,"y":-0.2,"color":"red"}');
    const answers = [
      await runCommand(BINARIES.agent, ['predict', '-f', rows, '--config', agentYaml]),
      await first.command('predict', '-f', rows),
      await second.command('predict', '-f', rows),
    ].map(({ stdout }) => stdout.replace(/[0-9a-f]{32}/, 'drawn'));
    assert.match(answers[0] ?? '', /points@1 {2}far=0\.\d+/);
    assert.equal(new Set(answers).size, 1, answers.join());
  });

  it('do not follow an author whom the policy of their site does not list', async () => {
    await federation.cliText('author', 'create', 'stranger');
    await federation.cliText('rollout', 'set', 'points@1', '--author', 'stranger');
    const status = await eventually('the refusal', async () => {
      const found = await rollout();
      return found.sites.refused === 1 ? found : undefined;
    });
    assert.match(status.refusals[0]?.detail ?? '', /spec\.authors/);
    // What served before goes on.
    assert.equal(await first.serving(), 'points@1');
    await federation.cliText('rollout', 'undo', 'points');
  });

  it('take no part in rounds, and get nothing else, whatever they ask for', async () => {
    const operator = await Operator.of(federation);
    const token = await operator.invite('north', { kind: 'Serving' });
    const peer = await FleetPeer.enrol(federation, token, await drawPeerKeys());
    try {
      const stream = peer.connect();
      await stream.welcome();
      await operator.apply(pointsJob('two', { rounds: 1, minSites: 1, features: FEATURES }));
      await federation.cliText('wait', '--for=condition=Complete', 'fj/two', '--timeout', '90s');
      const denied = refusal('PERMISSION_DENIED');
      const fetch = async (wanted: FetchBlobRequest): Promise<number> => {
        let bytes = 0;
        for await (const { data } of callServerStream(peer.fleet, Fleet.service.FetchBlob, wanted))
          bytes += data.length;
        return bytes;
      };
      const opened = await operator.event('two', 'round.opened');
      const digest = opened['baseDigest'] as string;
      await assert.rejects(fetch({ jobId: opened['jobId'] as string, round: 1, digest }), denied);
      const { rolloutId, stable } = await rollout();
      assert.ok((await fetch({ rolloutId, digest: stable?.digest ?? '' })) > 0, 'its own rollout');
      await assert.rejects(fetch({ rolloutId, digest }), denied);
      await assert.rejects(call(peer.fleet, Fleet.service, 'GetUploadStatus', {}), denied);
      await assert.rejects(peer.submit([]), denied);
      // The job is over: an order to train would have come before.
      const types = stream.orders.map(
        ({ entries }) => decodeEntry(entries.at(-1)?.entry ?? Buffer.of()).type,
      );
      assert.ok(types.length > 0 && types.every((type) => type.startsWith('rollout.')), types.join());
    } finally {
      peer.close();
      operator.close();
    }
  });

  it('go back by themselves to the version before, each alone', async () => {
    const fits = join(federation.folder, 'fits.json');
    const agentYaml = join(federation.siteFolder('north'), 'agent.yaml');
    await rm(fits);
    const exported = await runCommand(BINARIES.agent, [
      'fits',
      'export',
      '--to',
      fits,
      '--config',
      agentYaml,
    ]);
    assert.match(exported.stdout, /in 2 jobs/, exported.stderr);
    await federation.cliText('rollout', 'set', 'points@2', '--author', 'admin');
    await eventually('version 2', async () => (await rollout()).replicas.serving === 2 || undefined, 60_000);
    const back = await first.command('rollback', 'points');
    assert.match(back.stdout, /^points answers with version 1 again/, back.stderr);
    assert.deepEqual([await first.serving(), await second.serving()], ['points@1', 'points@2']);
    const missing = await first.command('rollback', 'nothing');
    assert.match(missing.stderr, /NOT_FOUND/);
  });

  it('are refused where they are started as the agent that trains, and the reverse', async () => {
    await first.stop();
    const run = await first.command('run');
    assert.match(run.stderr, /CONFLICT|CONFIG_INVALID: serving\.fits/);
    await first.configure({});
    assert.match((await first.command('run')).stderr, /CONFLICT: .*replica.*\n.*tributary-agent serve/s);
    await federation.agents.get('north')?.stop();
    const data = join(federation.siteFolder('north'), 'data');
    const reverse = await first.command('serve', '--data', data);
    assert.match(reverse.stderr, /CONFLICT: .*the agent that trains.*\n.*tributary-agent run/s);
  });

  it('end for good once they are revoked, and leave the other be', async () => {
    const { agentId } = await second.status();
    await federation.cliText('revoke', 'north', '--only', agentId);
    await eventually(
      'its end',
      async () => (await second.status().catch(() => undefined)) === undefined || undefined,
    );
    const status = (await federation.object('site/north'))['status'] as SiteStatus;
    assert.equal(
      status.identities.some((identity) => identity.agentId === agentId),
      false,
    );
  });
});
