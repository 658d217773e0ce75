import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { canonicalize, parseFederatedJob, type FederatedJobInput, type JsonValue } from '@tributary/proto';
import { variantName } from '@tributary/coordinator/internal/cli/commands/leave-one-out.js';
import fc from 'fast-check';
import { parse, parseAllDocuments, stringify } from 'yaml';

import { CliSession } from '../../support/cli-session.js';
import { refusal } from '../../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../../support/temporary-directory.js';
import { trialJob } from '../../support/trial-job.js';

const AUTHOR = { name: 'analyst', seed: `${'A'.repeat(43)}=` };
const bytes = (document: object): Buffer =>
  Buffer.from(canonicalize(JSON.parse(JSON.stringify(document)) as JsonValue));

const site = (name: string, approved: boolean, labels = {}) => ({
  kind: 'Site',
  name,
  seq: '1',
  document: bytes({
    kind: 'Site',
    metadata: { name, labels },
    status: { conditions: [{ type: 'Approved', status: approved ? 'True' : 'False' }] },
  }),
});

const FIGURE = { name: 'auc', value: '0.8', standardError: '0.01' };

/** A job as the coordinator serves it. */
function served(name: string, evaluation: object, groups: readonly object[]) {
  const job = trialJob(name);
  return {
    kind: 'FederatedJob',
    name,
    seq: '1',
    document: bytes({
      ...job,
      spec: { ...job.spec, evaluation },
      status: { phase: 'Complete', metrics: [FIGURE, { name: 'loss', value: '0.5' }], evaluation: groups },
    }),
  };
}

describe('tributary job leave-one-out', () => {
  let directory: TemporaryDirectory;
  before(async () => {
    directory = await temporaryDirectory();
  });
  after(() => directory.remove());

  async function run(job: object, ...options: readonly string[]): Promise<CliSession> {
    const path = join(directory.path, 'job.yaml');
    await writeFile(path, stringify(job));
    const cli = new CliSession({
      Apply: () => ({ outcome: 'CREATED' }),
      ListObjects: () => ({
        objects: [
          site('west', true),
          site('east', true, { kind: 'clinic' }),
          site('new', false),
          site('north', true),
        ],
      }),
    });
    cli.contexts = { ...cli.contexts, authors: [AUTHOR] };
    await cli.run('job', 'leave-one-out', '-f', path, ...options);
    return cli;
  }

  const submitted = (cli: CliSession) =>
    cli.calls
      .filter(({ method }) => method === 'Apply')
      .map(({ request }) => parseFederatedJob(JSON.parse((request['document'] as Buffer).toString('utf8'))));

  it('submits a job for each approved site, which holds it out and waits for one site more', async () => {
    const cli = await run(trialJob('loans'));
    const jobs = submitted(cli);
    assert.deepEqual(
      jobs.map(({ metadata, spec }) => [metadata.name, spec.model.name, spec.evaluation.holdOutSite]),
      ['east', 'north', 'west'].map((name) => [`loans-without-${name}`, `loans-without-${name}`, name]),
    );
    assert.ok(jobs.every(({ spec }) => spec.minSites === 3 && spec.evaluation.intervals === true));
    assert.match(cli.terminal.notes.join(), /tributary job held-out loans/);
  });

  it('selects sites as the job does, or takes those that are named', async () => {
    const selective = trialJob('loans', { siteSelector: { matchLabels: { kind: 'clinic' } } });
    await assert.rejects(run(selective), refusal('CONFLICT', /two sites or more, there are 1/));
    const cli = await run(trialJob('loans'), '--site', 'a', '--site', 'b');
    assert.deepEqual(
      submitted(cli).map(({ spec }) => [spec.evaluation.holdOutSite, spec.minSites]),
      [
        ['a', 2],
        ['b', 2],
      ],
    );
  });

  it('prints what it would submit, ready to be applied', async () => {
    const cli = await run(trialJob('loans'), '--print');
    assert.deepEqual(submitted(cli), []);
    const documents = parseAllDocuments(cli.terminal.results.join('\n')).map((one) =>
      parseFederatedJob(one.toJS()),
    );
    assert.deepEqual(
      documents.map(({ spec }) => spec.evaluation.holdOutSite),
      ['east', 'north', 'west'],
    );
  });

  it('refuses a job that measures nothing', async () => {
    await assert.rejects(
      run(trialJob('loans', { evaluation: { metrics: [] } })),
      refusal('DOCUMENT_INVALID', /spec\.evaluation\.metrics/),
    );
  });

  it('names jobs apart, within the length of a name (property)', () => {
    const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
    fc.assert(
      fc.property(name, name, name, (job, one, other) => {
        const named = variantName(job, one);
        const valid: FederatedJobInput = { ...trialJob('x'), metadata: { name: named } };
        assert.equal(parseFederatedJob(valid).metadata.name, named);
        assert.equal(variantName(job, other) === named, one === other);
      }),
    );
  });
});

describe('evaluation in the output of the tributary command', () => {
  const groups = [
    { type: 'All', metrics: [FIGURE] },
    { type: 'HeldOut', site: 'west', metrics: [{ name: 'auc', value: '0.7', standardError: '0.02' }] },
    {
      type: 'Subgroup',
      column: 'sex',
      value: 'F',
      metrics: [{ name: 'auc', value: 'NaN', standardError: 'NaN' }],
    },
  ];
  const heldOut = served('loans-without-west', { metrics: ['auc'], holdOutSite: 'west' }, groups);
  const cli = () =>
    new CliSession({
      ListObjects: () => ({ objects: [served('loans', { metrics: ['auc'] }, []), heldOut] }),
      GetObject: () => heldOut,
      DescribeObject: () => ({ object: heldOut, events: [] }),
    });

  it('is a column of jobs', async () => {
    const one = cli();
    await one.run('get', 'fj');
    assert.match(one.terminal.results[0] ?? '', /METRIC/);
    assert.match(one.terminal.results[1] ?? '', / auc=0\.8000±0\.0196 /);
  });

  it('is a table in describe, and numbers in its JSON', async () => {
    const one = cli();
    await one.run('describe', 'fj/loans-without-west');
    const shown = one.terminal.results.join('\n');
    assert.match(
      shown,
      /evaluation:\n {2}GROUP +METRIC +MEAN +ERROR +95% INTERVAL\n {2}all +auc +0\.8000 +0\.0100/,
    );
    assert.match(shown, /held out: west +auc +0\.7000 +0\.0200 +0\.6608 to 0\.7392/);
    assert.match(shown, /sex = F +auc +- +- +-/);
    assert.equal((parse(one.terminal.results[0] ?? '') as { status: object }).status instanceof Object, true);
    const json = cli();
    await json.run('describe', 'fj/loans-without-west', '-o', 'json');
    const { status } = JSON.parse(json.terminal.results[0] ?? '') as { status: { evaluation: unknown } };
    assert.deepEqual(status.evaluation, groups);
  });

  it('is compared by held-out: the site, and where the model was trained', async () => {
    const table = cli();
    await table.run('job', 'held-out', 'loans');
    assert.match(
      table.terminal.results[1] ?? '',
      /^west +Complete +auc +0\.7000 \[0\.6608, 0\.7392\] +0\.8000 \[0\.7804, 0\.8196\] +loans-without-west$/,
    );
    const json = cli();
    await json.run('job', 'held-out', 'fj/loans', '-o', 'json');
    const shown = JSON.parse(json.terminal.results[0] ?? '') as {
      readonly job: string;
      readonly sites: readonly {
        readonly site: string;
        readonly heldOut: readonly { readonly low: number }[];
      }[];
    };
    assert.equal(shown.job, 'loans');
    assert.equal(shown.sites.length, 1);
    assert.ok(Math.abs((shown.sites[0]?.heldOut[0]?.low ?? 0) - 0.6608) < 1e-3);
    await assert.rejects(cli().run('job', 'held-out', 'credit'), refusal('NOT_FOUND', /credit/));
  });
});
