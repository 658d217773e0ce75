import assert from 'node:assert/strict';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { FeatureSpec } from '@tributary/proto';
import { exportedFit } from '@tributary/edge-agent/internal/adapters/files/site-fits-file.js';
import { writeDurably } from '@tributary/proto/node';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { siteFitsOf } from '@tributary/edge-agent/internal/app/feature-fits.js';
import { encodeRecord } from '@tributary/edge-agent/internal/app/records.js';
import { encodeSiteFits } from '@tributary/edge-agent/internal/app/site-fits.js';
import { loadConfig, loadReplicaConfig } from '@tributary/edge-agent/internal/config.js';
import { stringify } from 'yaml';

import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';

const FIT = { age: { center: 40, scale: 12.5 } };
const model = (scaling: 'Site' | 'Given') => ({
  name: 'loans',
  version: 2,
  jobId: 'job-1',
  features: [{ name: 'age', type: 'Numeric', scaling, center: 0, scale: 1 } as unknown as FeatureSpec],
});

describe('agent.yaml of a replica', () => {
  let folder: TemporaryDirectory;

  before(async () => {
    folder = await temporaryDirectory();
  });

  after(() => folder.remove());

  const write = async (content: object): Promise<string> => {
    const path = join(folder.path, 'agent.yaml');
    await writeFile(path, stringify({ formatVersion: 1, dataDir: './data', ...content }));
    return path;
  };

  it('has everything but datasets and a trainer', async () => {
    const config = await write({ serving: { port: 1, fits: ['fits.json'] }, logLevel: 'warn' });
    const { datasets, trainer, ...rest } = loadConfig({ config }, {});
    assert.deepEqual(loadReplicaConfig({ config }, {}), rest);
    assert.deepEqual([datasets, trainer.type], [[], 'Tfjs']);
    assert.deepEqual(rest.serving.fits, [join(folder.path, 'fits.json')]);
  });

  for (const [field, content] of [
    ['datasets', { datasets: [] }],
    ['datasets', { datasets: [{ name: 'a', path: 'a.csv', format: 'Csv' }] }],
    ['trainer', { trainer: { type: 'Tfjs' } }],
  ] as const) {
    it(`is refused with ${JSON.stringify(content)}, which is named`, async () => {
      const config = await write(content);
      assert.throws(
        () => loadReplicaConfig({ config }, {}),
        refusal('CONFIG_INVALID', new RegExp(`^${field}: a replica trains nothing; remove it`)),
      );
    });
  }
});

describe('fits of a site for its replicas', () => {
  let folder: TemporaryDirectory;
  let path: string;

  beforeEach(async () => {
    folder = await temporaryDirectory();
    path = join(folder.path, 'fits.json');
  });

  afterEach(() => folder.remove());

  const save = async (site = 'north', fits = [{ jobId: 'job-1', fit: FIT }]): Promise<void> =>
    writeDurably(path, [Buffer.from(encodeSiteFits({ site, fits }))]);

  it('are those of the jobs that trained here, and nothing of jobs that scale nothing', async () => {
    const store = new MemoryStateStore();
    await store.put({
      'fit/job-1': encodeRecord({ site: FIT }),
      'fit/job-2': encodeRecord({ site: {} }),
      'fit/job-3': encodeRecord({}),
      'rollout/loans': encodeRecord({}),
    });
    assert.deepEqual(await siteFitsOf(store), [{ jobId: 'job-1', fit: FIT }]);
  });

  it('are written for one user, and found by the job of a model', async () => {
    await save();
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await exportedFit([path], 'north', model('Site')), FIT);
  });

  it('are taken with the mode under which the chart mounts them', async () => {
    await save();
    await chmod(path, 0o440);
    assert.deepEqual(await exportedFit([path], 'north', model('Site')), FIT);
  });

  it('are not asked for by a model that scales nothing by site', async () => {
    assert.equal(await exportedFit([join(folder.path, 'none.json')], 'north', model('Given')), undefined);
  });

  it('are missed with the name of the setting, the features, the job and the command', async () => {
    await save('north', [{ jobId: 'job-2', fit: FIT }]);
    const missing = (error: unknown): boolean =>
      refusal(
        'CONFIG_INVALID',
        /^serving\.fits: no file has what site north learnt of age in job-1, which loans@2/,
      )(error) && /fits export --to/.test((error as { hint?: string }).hint ?? '');
    await assert.rejects(exportedFit([path], 'north', model('Site')), missing);
    await assert.rejects(exportedFit([], 'north', model('Site')), missing);
  });

  it('are refused of another site, readable by others, newer, damaged or absent', async () => {
    const refused = (words: RegExp, code: 'CONFIG_INVALID' | 'FORMAT_UNSUPPORTED' = 'CONFIG_INVALID') =>
      assert.rejects(exportedFit([path], 'north', model('Site')), refusal(code, words));
    await refused(/fits\.json: does not exist/);
    await save('south');
    await refused(/is of site south, and this is north/);
    await save();
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"formatVersion":1', '"formatVersion":2'));
    await refused(/format version 2/, 'FORMAT_UNSUPPORTED');
    await writeFile(path, text.slice(0, -10));
    await refused(/does not hold the fits of a site/);
    await writeFile(path, text);
    await chmod(path, 0o604);
    await refused(/chmod 600/);
  });
});
