import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { FederatedJobObject } from '@tributary/proto';
import { stringify } from 'yaml';

import { LocalFederation } from '../support/federation.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { trialCsv } from '../support/training-job.js';
import { trialJob } from '../support/trial-job.js';

interface HeldOut {
  readonly site: string;
  readonly phase: string;
  readonly heldOut: readonly { readonly name: string; readonly value: number; readonly low: number }[];
}

const isBetween = (value: number, low: number, high: number): boolean => value > low && value < high;

describe('evaluation of a federation of processes', function () {
  this.timeout(180_000);
  let folder: TemporaryDirectory;
  let federation: LocalFederation;

  before(async () => {
    folder = await temporaryDirectory();
    federation = await LocalFederation.start(join(folder.path, 'federation'));
    const policy = { metricsPerSite: true };
    for (const [seed, name] of ['east', 'north', 'west'].entries())
      await federation.addSite({ name, csv: trialCsv(300, seed + 1), dataset: 'trial', policy });
    const shy = { name: 'shy', csv: trialCsv(300, 9), dataset: 'trial', labels: { kind: 'shy' } };
    await federation.addSite(shy);
  });
  after(async () => {
    await federation.stop();
    await folder.remove();
  });

  it('reports intervals and subgroups, but none of fewer rows than the policies allow', async () => {
    const subgroups = [{ column: 'c', values: ['red', 'purple'] }];
    const evaluation = { metrics: ['auc' as const, 'accuracy' as const], intervals: true, subgroups };
    await federation.apply(trialJob('groups', { rounds: 2, minSites: 4, evaluation }));
    await federation.cliText('wait', 'fj/groups', '--for', 'condition=Complete', '--timeout', '100s');
    const { status } = (await federation.object('fj/groups')) as unknown as FederatedJobObject;
    const [all, red, purple] = status.evaluation ?? [];
    assert.deepEqual(
      status.evaluation?.map(({ type, value }) => value ?? type),
      ['All', 'red', 'purple'],
    );
    for (const { value, standardError } of [all, red].flatMap((group) => group?.metrics ?? [])) {
      assert.ok(isBetween(Number(value), 0.3, 1), value);
      assert.ok(isBetween(Number(standardError), 0.005, 0.2), standardError);
    }
    assert.ok(purple?.metrics.every(({ value }) => value === 'NaN'));
    assert.match(await federation.cliText('describe', 'fj/groups'), /c = red +auc +0\./);
  });

  it('leaves each site out in turn; a site whose policy forbids it takes no part', async () => {
    const path = join(folder.path, 'job.yaml');
    await writeFile(path, stringify(trialJob('turns', { rounds: 2, minSites: 2 })));
    const sites = ['east', 'north', 'west'].flatMap((name) => ['--site', name]);
    await federation.cliText('job', 'leave-one-out', '-f', path, ...sites);
    for (const site of ['east', 'north', 'west'])
      await federation.cliText(
        'wait',
        `fj/turns-without-${site}`,
        '--for',
        'condition=Complete',
        '--timeout',
        '100s',
      );
    const shown = JSON.parse(await federation.cliText('job', 'held-out', 'turns', '-o', 'json')) as {
      readonly sites: readonly HeldOut[];
    };
    assert.deepEqual(
      shown.sites.map(({ site, phase }) => [site, phase]),
      ['east', 'north', 'west'].map((site) => [site, 'Complete']),
    );
    for (const { heldOut } of shown.sites) {
      assert.ok((heldOut[0]?.value ?? 0) > 0.6 && (heldOut[0]?.low ?? 1) < (heldOut[0]?.value ?? 0));
    }
    // Four sites: "shy" has not agreed to figures of its own, which only matters where they would be its own.
    await federation.apply(
      trialJob('names', { minSites: 3, evaluation: { metrics: ['auc'], perSite: true } }),
    );
    await federation.cliText('wait', 'fj/names', '--for', 'condition=Complete', '--timeout', '100s');
    const { status } = (await federation.object('fj/names')) as unknown as FederatedJobObject;
    const told = status.evaluation?.filter(({ type }) => type === 'Site') ?? [];
    assert.deepEqual(
      told.map(({ site, metrics }) => [site, metrics[0]?.value === 'NaN']),
      [
        ['east', false],
        ['north', false],
        ['shy', true],
        ['west', false],
      ],
    );
    assert.match(await federation.cliText('describe', 'fj/names'), /spec\.metricsPerSite/);
  });
});
