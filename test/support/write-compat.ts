import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { encodeHex, SOFTWARE_VERSION } from '@tributary/proto';

import { repositoryRoot } from './daemon.js';
import { LocalFederation } from './federation.js';
import { auditLedger, entriesOf } from './ledger-audit.js';
import { Operator } from './operator.js';
import { pointsJob, pointsOf } from './points.js';
import { temporaryDirectory } from './temporary-directory.js';

/*
 * Writes test/data/compat/<version>: what this build leaves on disks, for later builds to read. Run it once, before a
 * version is tagged:  node test/dist/support/write-compat.js [version]
 *
 *   coordinator/   after a plain and a secure job, killed in the middle of a round of a third: one update accepted and
 *                  spooled, the round's key sealed
 *   agent/         of the site whose update that is, killed: the update still in its outbox
 *   backup.tar     made while it served
 *   expected.json  size and root of the ledger, and what it says
 */

const SITES = ['north', 'south', 'west'] as const;
/** Logs, locks, sockets and addresses are of the process, not of the data. */
const OF_THE_PROCESS = new Set(['LOCK', 'LOG', 'LOG.old', 'run']);

export interface CompatExpectation {
  readonly treeSize: number;
  readonly rootHash: string;
  readonly logId: string;
  readonly model: { readonly name: string; readonly version: number; readonly weightsDigest: string };
  readonly openUpload: string;
  /** Names of the jobs with their phases. */
  readonly jobs: readonly (readonly [name: string, phase: string])[];
}

async function writeCompat(target: string): Promise<void> {
  const directory = await temporaryDirectory();
  const federation = await LocalFederation.start(join(directory.path, 'federation'), 'compat');
  for (const [index, name] of SITES.entries()) {
    await federation.addSite({ name, csv: pointsOf(index + 1, 80).csv, dataset: 'points' });
  }
  const operator = await Operator.of(federation);
  // A round of statistics, two of training, one that measures the model.
  await operator.apply(
    pointsJob('first', {
      rounds: 2,
      minSites: 2,
      features: [
        { name: 'x', type: 'Numeric', scaling: 'Federated', low: -1, high: 1 },
        { name: 'y', type: 'Numeric', scaling: 'Site' },
        { name: 'color', type: 'Categorical', categories: ['red', 'blue'] },
      ],
      evaluation: { metrics: ['auc'], intervals: true },
    }),
  );
  await operator.event('first', 'job.completed');
  await operator.apply(pointsJob('sealed', { rounds: 2, minSites: 3, privacy: {} }));
  await operator.event('sealed', 'job.completed');
  const backup = join(directory.path, 'backup.tar');
  await federation.backup(backup);
  // Long enough to train that one site can be killed before it is done.
  const { spec } = pointsJob('second');
  await operator.apply(
    pointsJob('second', { rounds: 2, minSites: 2, training: { ...spec.training, epochs: 300 } }),
  );
  await operator.event('second', 'round.opened');
  for (const name of ['south', 'west']) await federation.agents.get(name)?.stop('SIGKILL');
  const accepted = await operator.event('second', 'update.accepted');
  const { entries, treeHead } = await auditLedger(federation);
  operator.close();
  await Promise.all([
    federation.coordinator.stop('SIGKILL'),
    federation.agents.get('north')?.stop('SIGKILL'),
  ]);

  const [registered] = entriesOf(entries, 'model.registered');
  const expected: CompatExpectation = {
    treeSize: treeHead.treeSize,
    rootHash: encodeHex(treeHead.rootHash),
    logId: treeHead.logId,
    model: {
      name: registered?.body.model ?? '',
      version: registered?.body.version ?? 0,
      weightsDigest: registered?.body.weightsDigest ?? '',
    },
    openUpload: typeof accepted['uploadId'] === 'string' ? accepted['uploadId'] : '',
    jobs: [
      ['first', 'Complete'],
      ['sealed', 'Complete'],
      ['second', 'Running'],
    ],
  };
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  const options = { recursive: true, filter: (path: string) => !OF_THE_PROCESS.has(basename(path)) };
  await cp(federation.data, join(target, 'coordinator'), options);
  await cp(join(federation.siteFolder('north'), 'data'), join(target, 'agent'), options);
  await cp(backup, join(target, 'backup.tar'));
  await writeFile(join(target, 'expected.json'), `${JSON.stringify(expected, undefined, 2)}\n`);
  await directory.remove();
}

if (process.argv[1] === import.meta.filename) {
  const target = join(repositoryRoot, 'test/data/compat', process.argv[2] ?? SOFTWARE_VERSION);
  await writeCompat(target);
  process.stdout.write(`written: ${target}\n`);
}
