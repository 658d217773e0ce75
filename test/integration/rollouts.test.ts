import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse, stringify } from 'yaml';

import { BINARIES, runCommand, type Finished } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

interface RolloutShown {
  readonly status: {
    readonly phase: string;
    readonly stable?: { readonly version: number };
    readonly sites: { readonly selected: number; readonly serving: number; readonly refused: number };
    readonly refusals: readonly { readonly site: string; readonly code: string }[];
  };
}

/** Which version each site serves, over real daemons: every step is a command that an operator types. */
describe('rollouts', function () {
  this.timeout(120_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'));
    const site = (name: string, ring: string, policy: Record<string, unknown>, seed: number) =>
      federation.addSite({
        name,
        csv: pointsOf(seed, 120).csv,
        dataset: 'points',
        labels: { ring },
        policy,
      });
    await site('east', 'first', { serving: { models: ['points'] } }, 1);
    await site('west', 'second', {}, 2);
    for (const [name, seed] of [
      ['one', 1],
      ['two', 2],
    ] as const) {
      const optimizer = { type: 'Sgd', learningRate: 0.3 } as const;
      await federation.apply(
        pointsJob(name, {
          rounds: 1,
          minSites: 2,
          training: { epochs: 1, batchSize: 16, optimizer, seed },
        }),
      );
      await federation.cliText('wait', '--for=condition=Complete', `fj/${name}`, '--timeout', '60s');
    }
  });

  after(async function () {
    await federation.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  const shown = async (): Promise<RolloutShown['status']> =>
    ((await federation.object('rollout/points')) as unknown as RolloutShown).status;
  const agent = (name: string, ...args: string[]): Promise<Finished> =>
    runCommand(BINARIES.agent, [...args, '--config', join(federation.siteFolder(name), 'agent.yaml')]);
  const served = async (name: string): Promise<string> =>
    (await federation.agentStatus(name)).serving.map((ref) => `${ref.name}@${String(ref.version)}`).join(' ');
  const serves = (name: string, wanted: string): Promise<true> =>
    eventually(
      `${name} to serve ${wanted}`,
      async () => (await served(name).catch(() => '?')) === wanted || undefined,
    );
  const decisions = async (name: string): Promise<Record<string, unknown>[]> => {
    const text = await readFile(join(federation.siteFolder(name), 'data/decisions.jsonl'), 'utf8');
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };

  it('has selected sites serve a version, and tells who refuses it', async () => {
    const set = await federation.cliText('rollout', 'set', 'points@1');
    assert.match(set, /^modelrollout\/points created/);
    await serves('east', 'points@1');
    const status = await eventually('the refusal', async () => {
      const found = await shown();
      return found.sites.serving === 1 && found.sites.refused === 1 ? found : undefined;
    });
    assert.deepEqual(
      status.refusals.map(({ site, code }) => `${site} ${code}`),
      ['west POLICY_REFUSED'],
    );
    assert.equal(status.phase, 'Progressing');
    const refused = (await decisions('west')).filter((line) => line['type'] === 'Rollout');
    assert.deepEqual(
      refused.map(({ allowed, rule, model, version }) => ({ allowed, rule, model, version })),
      [{ allowed: false, rule: 'spec.serving.models', model: 'points', version: 1 }],
    );
    const table = await federation.cliText('get', 'rollouts');
    assert.match(table, /^NAME +STABLE +CANARY +WEIGHT +PHASE +SITES +AGE/);
    assert.match(table, /points +1 +- +100 +Progressing +1\/2/);
    assert.match(await federation.cliText('describe', 'rollout/points'), /rollout\.applied/);
  });

  it('is one rollout when it is set twice, and none for a version that is not registered', async () => {
    const again = await federation.cliText('rollout', 'set', 'points@1');
    assert.match(again, /unchanged/);
    const unknown = await federation.cli('rollout', 'set', 'points@9');
    assert.match(unknown.stderr, /NOT_FOUND/);
  });

  it('goes on where a policy comes to allow it', async () => {
    const path = join(federation.siteFolder('west'), 'policy.yaml');
    const policy = parse(await readFile(path, 'utf8')) as { spec: Record<string, unknown> };
    policy.spec['serving'] = { models: ['points'] };
    await writeFile(path, stringify(policy));
    await federation.agents.get('west')?.stop();
    federation.startAgent('west');
    await serves('west', 'points@1');
    await federation.cliText('wait', '--for=condition=Ready', 'rollout/points', '--timeout', '30s');
    assert.equal((await shown()).phase, 'Complete');
  });

  it('leaves sites that a selector leaves out, and goes back', async () => {
    await federation.cliText('rollout', 'set', 'points@2', '--selector', 'ring=first');
    await serves('east', 'points@2');
    assert.equal(await served('west'), 'points@1');
    assert.match(await federation.cliText('rollout', 'undo', 'points'), /version 1 is served again/);
    await serves('east', 'points@1');
    assert.equal((await shown()).stable?.version, 1);
  });

  it('arrives although coordinator and agents are killed in between', async () => {
    await federation.cliText('rollout', 'set', 'points@2');
    await Promise.all([
      federation.coordinator.stop('SIGKILL'),
      federation.agents.get('east')?.stop('SIGKILL'),
    ]);
    federation.startAgent('east');
    await federation.serve();
    await serves('east', 'points@2');
    await serves('west', 'points@2');
    await federation.cliText('wait', '--for=condition=Ready', 'rollout/points', '--timeout', '30s');
  });

  it('is rolled back by a site while the coordinator is away, until a later rollout', async () => {
    await federation.coordinator.stop('SIGKILL');
    const rolledBack = await agent('east', 'rollback', 'points');
    assert.equal(rolledBack.code, 0, rolledBack.stderr);
    assert.match(rolledBack.stdout, /points answers with version 1 again/);
    assert.equal(await served('east'), 'points@1');
    const last = (await decisions('east')).at(-1);
    assert.deepEqual([last?.['type'], last?.['version'], last?.['previous']], ['RolledBack', 1, 2]);
    await federation.agents.get('east')?.stop('SIGKILL');
    federation.startAgent('east');
    await federation.serve();
    // The order of the rollout comes again with the new stream, and is not followed again.
    const status = await eventually('both to report', async () => {
      const found = await shown().catch(() => undefined);
      return found?.sites.serving === 1 && (await served('east')) === 'points@1' ? found : undefined;
    });
    assert.equal(status.stable?.version, 2);
    const unknown = await agent('east', 'rollback', 'nothing');
    assert.match(unknown.stderr, /NOT_FOUND/);
    await federation.cliText('rollout', 'set', 'points@1');
    await federation.cliText('rollout', 'set', 'points@2');
    await serves('east', 'points@2');
  });

  it('serves nothing once every rollout is undone', async () => {
    for (let undone = ''; !undone.includes('no version is served');)
      undone = await federation.cliText('rollout', 'undo', 'points');
    await serves('east', '');
    await serves('west', '');
    assert.equal((await shown()).phase, 'Undone');
    const again = await federation.cli('rollout', 'undo', 'points');
    assert.match(again.stderr, /CONFLICT/);
  });
});
