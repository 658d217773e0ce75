import assert from 'node:assert/strict';

import { Metrics } from '@tributary/coordinator/internal/adapters/http/metrics.js';
import type { LedgerEntry } from '@tributary/proto';

const common = {
  v: 1,
  seq: 0,
  time: '2026-01-01T00:00:00.000Z',
  actor: 'coordinator',
  subject: 'job/x',
} as const;
const round = { jobId: 'job-x', round: 1, attempt: 0 };

describe('metrics of the coordinator', () => {
  const refusal = (code: string): LedgerEntry => ({
    ...common,
    type: 'update.refused',
    body: { ...round, site: 'secret-site', agentId: 'agt-x', uploadId: 'upl-x', code, detail: '' },
  });

  it('count decisions by outcome and code', async () => {
    const metrics = new Metrics();
    metrics.observe(refusal('UPDATE_NOT_FINITE'));
    metrics.observe(refusal('UPDATE_NOT_FINITE'));
    metrics.observe({
      ...common,
      type: 'round.failed',
      body: { ...round, code: 'ROUND_UNDERSUBSCRIBED', detail: '' },
    });
    metrics.observe({
      ...common,
      type: 'job.failed',
      body: { jobId: 'job-x', code: 'JOB_DEADLINE', detail: '' },
    });
    const text = await metrics.registry.metrics();
    assert.match(text, /tributary_updates_refused_total\{code="UPDATE_NOT_FINITE"\} 2/);
    assert.match(text, /tributary_rounds_total\{outcome="failed"\} 1/);
    assert.match(text, /tributary_jobs_total\{outcome="failed"\} 1/);
  });

  it('take labels from closed sets only: no site, and no code that somebody made up', async () => {
    const metrics = new Metrics();
    for (let count = 0; count < 100; count += 1) metrics.observe(refusal(`MADE_UP_${String(count)}`));
    const text = await metrics.registry.metrics();
    assert.match(text, /tributary_updates_refused_total\{code="INTERNAL"\} 100/);
    assert.doesNotMatch(text, /MADE_UP|secret-site|agt-x/);
  });

  it('count damage, wherever it is found, and nothing else as such', async () => {
    const metrics = new Metrics();
    assert.match(await metrics.registry.metrics(), /tributary_damage_total 0/);
    metrics.call('FetchModelBlob', 'STORE_CORRUPT');
    metrics.call('FetchModelBlob', 'NOT_FOUND');
    metrics.observe({
      ...common,
      type: 'round.failed',
      body: { ...round, code: 'STORE_CORRUPT', detail: '' },
    });
    metrics.fault('SEAL_BROKEN');
    metrics.fault('STORE_FULL');
    assert.match(await metrics.registry.metrics(), /tributary_damage_total 3/);
  });

  it('read gauges when they are scraped', async () => {
    const metrics = new Metrics();
    let entries = 1;
    metrics.addSources({
      ...{ ledgerSize: () => entries, connectedAgents: () => 2, openJobs: () => 3 },
      ...{ queuedJobs: () => 1, contradictions: () => 4 },
    });
    entries = 7;
    const text = await metrics.registry.metrics();
    assert.match(text, /tributary_ledger_entries 7/);
    assert.match(text, /tributary_connected_agents 2/);
    assert.match(text, /tributary_jobs_open 3/);
    assert.match(text, /tributary_jobs_queued 1/);
    assert.match(text, /tributary_ledger_contradictions 4/);
    assert.match(text, /process_resident_memory_bytes \d+/);
  });
});
