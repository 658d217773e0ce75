import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { tailLength } from '@tributary/proto';
import { Admin } from '@tributary/proto/grpc';

import { call } from '../support/channels.js';
import { LocalFederation } from '../support/federation.js';
import { KeptFiles } from '../support/kept-files.js';
import { Operator } from '../support/operator.js';
import { RecordingProxy } from '../support/recording-proxy.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { TRIAL_METRICS } from '../support/trial-job.js';
import {
  decryptTraffic,
  openUpdates,
  roundSecrets,
  storedEvidence,
  type OpenedUpdate,
} from './leak/evidence.js';
import { search, searchVector, type Evidence } from './leak/planted.js';
import { NEEDLES, PLANTED_NUMBERS, plantedCsv, plantedJob } from './leak/site.js';

interface Seen {
  readonly evidence: readonly Evidence[];
  readonly updates: readonly OpenedUpdate[];
  readonly found: readonly string[];
}

describe('values planted at a site', function () {
  this.timeout(90_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  let proxy: RecordingProxy;
  let kept: KeptFiles;
  let keyLog: string;

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'));
    operator = await Operator.of(federation);
    proxy = await RecordingProxy.start();
    kept = await KeptFiles.start([join(federation.data, 'keys')], join(directory.path, 'kept'));
    keyLog = join(directory.path, 'tls-keys');
    await join_('north');
  });

  after(async () => {
    await kept.stop();
    operator.close();
    await federation.stop();
    await proxy.stop();
    await directory.remove();
  });

  /** Starts an agent that reaches the coordinator through the recording proxy and logs its TLS secrets. */
  async function join_(name: string, script?: string): Promise<void> {
    await federation.addSite({
      name,
      csv: plantedCsv(1, true),
      dataset: 'trial',
      labels: { pool: name },
      config: { proxy: { url: proxy.url, noProxy: [] }, logLevel: 'trace' },
      env: { NODE_OPTIONS: `--tls-keylog=${keyLog}` },
      ...(script === undefined ? {} : { script }),
    });
  }

  /** Everything outside of the sites, searched. */
  async function look(): Promise<Seen> {
    const { evidence, requests } = await decryptTraffic(proxy.tunnels, keyLog);
    const updates = openUpdates(requests, await roundSecrets(kept.files, federation));
    const all = [...evidence, ...updates, ...(await storedEvidence(federation))];
    const found = updates.flatMap(({ place, vector }) =>
      searchVector(place, vector, weightOf(vector), PLANTED_NUMBERS),
    );
    return { evidence: all, updates, found: [...search(all, NEEDLES), ...found] };
  }

  it('never leave it: not in a failure over an unreadable cell, not in updates, on disk or in logs', async () => {
    await operator.apply(plantedJob('unreadable', 'north'));
    await operator.event('unreadable', 'site.declined', ({ code }) => code === 'DATASET_INVALID');
    await call(operator.admin, Admin.service, 'ControlJob', {
      name: 'unreadable',
      action: 'CANCEL',
      reason: 'seen',
    });
    await writeFile(join(federation.siteFolder('north'), 'trial.csv'), plantedCsv(1, false));
    await operator.apply(plantedJob('readable', 'north'));
    await operator.event('readable', 'job.completed');
    const { evidence, updates, found } = await look();
    assert.deepEqual(found, []);
    // The search is worth something only where the traffic was read.
    // Two of training, and one that only measures.
    assert.deepEqual(updates.map(({ vector }) => weightOf(vector)).sort(), [0, 1, 1]);
    assertRead(evidence, '/tributary.v1.Enrolment/Enroll', 'agent');
    assertRead(evidence, '/tributary.v1.Fleet/Connect', 'DATASET_INVALID');
    assertRead(evidence, '/tributary.v1.Fleet/SubmitUpdate', 'x25519-xsalsa20poly1305');
    assertRead(evidence, 'log of north', 'training');
  });

  it('are found in update, log and failure of an agent that leaks on purpose', async () => {
    await join_('leaker', join(import.meta.dirname, 'leak/leaking-agent.js'));
    await operator.apply(plantedJob('leaked', 'leaker', { rounds: 1 }));
    await operator.event('leaked', 'job.completed');
    const { layers } = plantedJob('detail', 'leaker').spec.model;
    await operator.apply(plantedJob('detail', 'leaker', { rounds: 1, model: { name: 'detail', layers } }));
    await operator.event('detail', 'site.declined');
    const { found } = await look();
    for (const place of [
      /^update .*float32 LE/,
      /^update .*\[0\]/,
      /^log of leaker: zanzibarite/,
      /^connection .*Fleet\/Connect: 91827/,
      /^ledger entry .*91827/,
      /^disk ledger/,
    ]) {
      assert.ok(
        found.some((line) => place.test(line)),
        `${String(place)} among\n${found.join('\n')}`,
      );
    }
  });
});

/** The first element of the tail: min(rows, weightCap) / weightCap. */
function weightOf(vector: Float32Array): number {
  return vector[vector.length - tailLength({ metrics: TRIAL_METRICS })] ?? 0;
}

function assertRead(evidence: readonly Evidence[], place: string, text: string): void {
  const known = evidence.filter((one) => one.place.includes(place));
  assert.ok(
    known.some(({ bytes }) => bytes.includes(text)),
    `${place} shows ${text}, in ${String(known.length)} places`,
  );
}
