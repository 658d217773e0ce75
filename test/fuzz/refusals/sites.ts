import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Admin } from '@tributary/proto/grpc';
import { digestOf, encodeJoinToken, type ErrorCode, type FederatedJobInput } from '@tributary/proto';
import { parse, stringify } from 'yaml';

import { call } from '../../support/channels.js';
import { BINARIES, runCommand } from '../../support/daemon.js';
import { trialCsv } from '../../support/training-job.js';
import { trialJob } from '../../support/trial-job.js';
import { failureOf } from './requests.js';
import { codeOf, type Provocation, type Provocations, type RefusalWorld } from './world.js';

const SITE = 'branch';
const CSV = trialCsv(60, 4);

/** Joins and starts the one real agent; its files are changed between jobs. */
export async function startBranch({ federation }: RefusalWorld): Promise<void> {
  await federation.addSite({ name: SITE, csv: CSV, dataset: 'trial', labels: { pool: 'branch' } });
}

type Policy = Record<string, unknown> & { spec: Record<string, unknown> };

interface Surroundings {
  /** Fields of the policy's spec, or none for no policy. */
  readonly policy?: Readonly<Record<string, unknown>> | 'none';
  readonly csv?: string;
  readonly job?: Partial<FederatedJobInput['spec']>;
}

/** A job that the site declines, with files as given; the code is the one that the ledger holds. */
function declined(how: string, { policy = {}, csv = CSV, job = {} }: Surroundings): Provocation {
  const provoke = async ({ federation, operator }: RefusalWorld): Promise<ErrorCode> => {
    const folder = federation.siteFolder(SITE);
    const policyPath = join(folder, 'policy.yaml');
    const before = await readFile(policyPath, 'utf8');
    const document = parse(before) as Policy;
    if (policy === 'none') await rm(policyPath);
    else await writeFile(policyPath, stringify({ ...document, spec: { ...document.spec, ...policy } }));
    await writeFile(join(folder, 'trial.csv'), csv);
    const name = how
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .slice(0, 40);
    await operator.apply(
      trialJob(name, { siteSelector: { matchLabels: { pool: 'branch' } }, minSites: 1, rounds: 2, ...job }),
    );
    const code = failureOf(await operator.event(name, 'site.declined'));
    await call(operator.admin, Admin.service, 'ControlJob', { name, action: 'CANCEL', reason: 'seen' });
    await writeFile(policyPath, before);
    return code;
  };
  return { how, provoke };
}

const lines = CSV.trimEnd().split('\n');
const spoilt = [...lines.slice(0, 3), 'abc,1,red,yes', ...lines.slice(3)].join('\n');
const huge = ['x1,c', ...Array.from({ length: 40 }, (_, row) => `${row % 2 === 0 ? '' : '-'}3e38,red`)].join(
  '\n',
);

/** Squared errors of its labels are beyond float32. */
const DIVERGING: Partial<FederatedJobInput['spec']> = {
  task: { type: 'Regression' },
  dataset: { name: 'trial', label: 'x1' },
  features: [{ name: 'c', type: 'Categorical', categories: ['red'] }],
  model: { name: 'diverging', layers: [{ type: 'Dense', units: 1, activation: 'Linear' }] },
  evaluation: { metrics: [] },
};

/** What a site says no with, and what follows for rounds and jobs. */
export const SITE_PROVOCATIONS: Provocations = {
  CA_MISMATCH: {
    how: 'an agent joins with a token that names another authority',
    provoke: async ({ federation, operator }) => {
      const token = encodeJoinToken({
        ...(await operator.invite('elsewhere')),
        caDigest: digestOf(Buffer.from('another')),
      });
      const config = join(federation.folder, 'elsewhere.yaml');
      await writeFile(config, stringify({ formatVersion: 1, dataDir: './elsewhere' }));
      const { stderr } = await runCommand(BINARIES.agent, ['join', '--config', config], {
        TRIBUTARY_JOIN_TOKEN: token,
      });
      return (/^error: ([A-Z_]+):/.exec(stderr)?.[1] ?? 'INTERNAL') as ErrorCode;
    },
  },
  POLICY_MISSING: declined('Site without a policy file', { policy: 'none' }),
  POLICY_REFUSED: declined('Policy that allows one round only', { policy: { maximumRounds: 1 } }),
  AUTHOR_UNKNOWN: declined('Policy that names another author', {
    policy: { authors: [{ name: 'other', key: Buffer.alloc(32, 3).toString('base64') }] },
  }),
  DATASET_UNKNOWN: declined('Job over a dataset that the site does not declare', {
    job: { dataset: { name: 'unheard', label: 'y' } },
  }),
  DATASET_INVALID: declined('Numeric cell that holds text', { csv: spoilt }),
  DATASET_TOO_SMALL: declined('Policy that demands more rows', {
    policy: { datasets: [{ name: 'trial', columns: ['*'], minimumRows: 1_000 }] },
  }),
  TRAINING_DIVERGED: declined('Labels near the end of float32', { csv: huge, job: DIVERGING }),
  ROUND_UNDERSUBSCRIBED: {
    how: 'a job whose only site declines',
    provoke: async ({ federation, operator }) => {
      await writeFile(join(federation.siteFolder(SITE), 'trial.csv'), spoilt);
      await operator.apply(
        trialJob('hopeless', { siteSelector: { matchLabels: { pool: 'branch' } }, minSites: 1 }),
      );
      return failureOf(await operator.event('hopeless', 'round.failed'));
    },
  },
  JOB_RETRIES_EXHAUSTED: {
    how: 'the same job after its retries',
    provoke: async ({ operator }) => failureOf(await operator.event('hopeless', 'job.failed')),
  },
  STORE_LOCKED: {
    how: 'a second coordinator on the same directory',
    provoke: async ({ federation }) => {
      const { stderr } = await runCommand(BINARIES.coordinator, [
        'serve',
        '--data',
        federation.data,
        '--listen',
        '127.0.0.1',
        '--fleet-port',
        '0',
        '--enrol-port',
        '0',
        '--admin-port',
        '0',
        '--health-port',
        '0',
        '--metrics-port',
        '0',
      ]);
      return (/^error: ([A-Z_]+):/m.exec(stderr)?.[1] ?? 'INTERNAL') as ErrorCode;
    },
  },
  SHUTTING_DOWN: {
    how: 'the goodbye of a coordinator that stops',
    provoke: async ({ federation, outsider }) => {
      const stream = outsider.connect();
      await stream.welcome();
      await federation.coordinator.stop();
      await stream.end();
      const goodbye = stream.received.find((message) => message.goodbye)?.goodbye;
      return (goodbye?.code ?? 'INTERNAL') as ErrorCode;
    },
  },
  UNAVAILABLE: {
    how: 'a coordinator that is not running',
    provoke: ({ operator }) => codeOf(call(operator.admin, Admin.service, 'GetVersion', {})),
  },
};
