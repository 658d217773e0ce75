import assert from 'node:assert/strict';

import {
  digestOf as digestOfBytes,
  float32ToBytes,
  type EntryBody,
  type EntryType,
  type LedgerEntry,
} from '@tributary/proto';

import { judge } from '../../chaos/judge/contract.js';
import { judgeEvidence } from '../../chaos/judge/evidence.js';
import type { Contribution, Facts } from '../../chaos/judge/facts.js';
import { leafOf, rootOf } from '../../chaos/judge/ledger.js';
import { digestOf, meanModel } from '../../chaos/judge/models.js';
import { recoveries } from '../../chaos/judge/recovery.js';

const JOB = 'job-1';
const SITES = ['east', 'north', 'west'];
const ZERO = Float32Array.of(0.5, -0.25, 1);
const digestNamed = (name: string) => digestOfBytes(Buffer.from(name));

/** What a case of two rounds leaves behind when nothing is wrong. */
class Case {
  entries: LedgerEntry[] = [];
  readonly contributions: Contribution[] = [];
  readonly receipts: { uploadId: string; seq: number }[] = [];
  readonly deltas = new Map<string, Float32Array>();
  readonly models = new Map<string, Float32Array>([[digestOf(ZERO), ZERO]]);
  readonly complaints: string[] = [];

  constructor(encoding?: 'ring') {
    this.add('job.started', {
      jobId: JOB,
      layoutDigest: digestNamed('layout'),
      modelDigest: digestOf(ZERO) as `sha256:${string}`,
      parameters: 3,
    });
    let base: Float32Array = ZERO;
    for (const round of [1, 2]) base = this.round(round, base, encoding);
    this.add('job.completed', { jobId: JOB, model: 'points', version: 1 });
  }

  add<T extends EntryType>(type: T, body: EntryBody<T>): LedgerEntry {
    const seq = this.entries.length;
    const time = new Date(Date.UTC(2026, 0, 1) + seq * 1_000).toISOString();
    const entry = {
      v: 1,
      seq,
      time,
      actor: 'coordinator',
      subject: 'federation',
      type,
      body,
    } as unknown as LedgerEntry;
    this.entries.push(entry);
    return entry;
  }

  round(round: number, base: Float32Array, encoding: 'ring' | undefined): Float32Array {
    const ref = { jobId: JOB, round, attempt: 0 };
    const cohort = SITES.map((site) => ({ site, agentId: `agt-${site}` }));
    const opened = { ...ref, mode: 'plain', stages: [], cohort, vectorLength: 4, roundKey: '' };
    const baseDigest = digestOf(base) as `sha256:${string}`;
    this.add('round.opened', { ...opened, baseDigest, layoutDigest: digestNamed('layout') });
    const parts = SITES.map((site, index) => {
      const uploadId = `upl-${site}-${String(round)}`;
      const delta = Float32Array.of(0.1 * (index + 1), 0.01 * round, -0.3);
      const { seq } = this.add('update.accepted', {
        ...ref,
        ...{ site, agentId: `agt-${site}`, uploadId, bytes: '16' },
        ...{ headerDigest: digestNamed('header'), sealDigest: digestNamed('seal') },
      });
      const contribution: Contribution = {
        ...{ agentId: `agt-${site}`, ...ref, baseDigest, uploadId, delta: uploadId },
        ...{
          clipNorm: 10,
          weightCap: 1_000,
          norm: 1,
          trainExamples: 100 + index,
          ...(encoding && { encoding }),
        },
      };
      this.contributions.push(contribution);
      this.deltas.set(uploadId, delta);
      this.receipts.push({ uploadId, seq });
      return { contribution, delta };
    });
    const model = meanModel(base, parts);
    this.models.set(digestOf(model), model);
    const folded = parts.map(({ contribution }) => contribution.uploadId);
    const modelDigest = digestOf(model) as `sha256:${string}`;
    this.add('round.committed', { ...ref, modelDigest, folded, reporting: SITES, dropped: [], metrics: {} });
    return model;
  }

  /** Replaces the body of the first entry of a type that `fits`, as a coordinator that is wrong would have written it. */
  alter<T extends EntryType>(type: T, change: (body: EntryBody<T>) => object, round = 2): void {
    this.entries = this.entries.map((entry) => {
      const hit = entry.type === type && (!('round' in entry.body) || entry.body.round === round);
      return hit
        ? ({ ...entry, body: { ...entry.body, ...change(entry.body as EntryBody<T>) } } as LedgerEntry)
        : entry;
    });
  }

  /** Puts an entry of before once more at the end. */
  repeat(type: EntryType): void {
    const entry = this.entries.find((one) => one.type === type) ?? assert.fail(`no ${type}`);
    this.entries.push({ ...entry, seq: this.entries.length });
  }

  get facts(): Facts {
    const { entries, contributions, receipts, deltas, models, complaints } = this;
    const rootHash = rootOf(entries.map(leafOf));
    return { entries, rootHash, jobs: [JOB], contributions, receipts, deltas, models, complaints };
  }

  get kinds(): readonly string[] {
    return [...new Set(judge(this.facts).map(({ kind }) => kind))].sort();
  }
}

describe('the judge of the chaos suite', () => {
  let left: Case;
  beforeEach(() => {
    left = new Case();
  });

  it('finds nothing where nothing is wrong, in the clear and under masks', () => {
    assert.deepEqual(judge(left.facts), []);
    assert.deepEqual(judge(new Case('ring').facts), []);
  });

  it('finds an accepted update that is not in the sum', () => {
    left.alter('round.committed', ({ folded }) => ({ folded: folded.slice(1) }));
    assert.deepEqual(left.kinds, ['lost', 'model']);
  });

  it('finds an update that is in the sum twice, and one that was accepted twice', () => {
    left.alter('round.committed', ({ folded }) => ({ folded: [...folded, ...folded.slice(0, 1)] }));
    assert.deepEqual(left.kinds, ['doubled', 'model']);
    const other = new Case();
    other.repeat('update.accepted');
    assert.deepEqual(other.kinds, ['doubled']);
  });

  it('finds a round that was opened or committed twice, and one that was left out', () => {
    for (const type of ['round.opened', 'round.committed'] as const) {
      const again = new Case();
      again.repeat(type);
      assert.ok(again.kinds.includes('doubled'), type);
    }
    left.alter('round.committed', () => ({ round: 3 }));
    assert.ok(left.kinds.includes('lost'));
  });

  it('finds an acknowledged update that the ledger does not hold', () => {
    left.receipts.push({ uploadId: 'upl-gone', seq: 2 });
    assert.deepEqual(left.kinds, ['lost']);
  });

  it('finds updates of an attempt that was never settled', () => {
    const { body } = left.entries.find(({ type }) => type === 'update.accepted') ?? assert.fail();
    left.add('update.accepted', { ...(body as EntryBody<'update.accepted'>), attempt: 1, uploadId: 'upl-x' });
    assert.deepEqual(left.kinds, ['lost']);
  });

  it('finds one flipped bit of a model in the clear', () => {
    const delta = left.deltas.get('upl-north-1') ?? assert.fail();
    const bits = new Uint32Array(delta.buffer);
    bits[1] = (bits[1] ?? 0) ^ (1 << 3);
    assert.deepEqual(left.kinds, ['model']);
  });

  it('finds a model of masked updates beyond the rounding, and none within it', () => {
    for (const [by, found] of [
      [1e-7, []],
      [1e-4, ['model']],
    ] as const) {
      const masked = new Case('ring');
      const committed = masked.entries.findLast(({ type }) => type === 'round.committed')?.body;
      const digest = (committed as EntryBody<'round.committed'>).modelDigest;
      const model = masked.models.get(digest) ?? assert.fail();
      const altered = model.map((value) => value + by);
      masked.models.set(digestOf(altered), altered);
      masked.alter('round.committed', () => ({ modelDigest: digestOf(altered) }));
      assert.deepEqual(masked.kinds, found, String(by));
    }
  });

  it('finds a last model under masks that is not there to be compared', () => {
    const masked = new Case('ring');
    const committed = masked.entries.findLast(({ type }) => type === 'round.committed')?.body;
    masked.models.delete((committed as EntryBody<'round.committed'>).modelDigest);
    assert.deepEqual(masked.kinds, ['model']);
  });

  it('finds a round on another model than the one before it', () => {
    left.alter('round.opened', () => ({ baseDigest: digestNamed('other') }));
    assert.deepEqual(left.kinds, ['model']);
  });

  it('finds a site that trained the same round to other bits', () => {
    const [first] = left.contributions;
    left.contributions.push({
      ...(first ?? assert.fail()),
      attempt: 1,
      uploadId: 'upl-other',
      delta: 'upl-other',
    });
    left.deltas.set('upl-other', Float32Array.of(1, 2, 3));
    assert.deepEqual(left.kinds, ['model']);
  });

  it('finds an altered entry, and one that is missing', () => {
    const { facts } = left;
    const cut = { ...facts, entries: facts.entries.slice(0, -1) };
    assert.ok(judge(cut).some(({ kind }) => kind === 'ledger'));
    left.alter('update.accepted', () => ({ bytes: '17' }));
    assert.deepEqual(
      judge({ ...left.facts, rootHash: facts.rootHash }).map(({ kind }) => kind),
      ['ledger'],
    );
    const moved = facts.entries.map((entry) => (entry.seq === 3 ? { ...entry, seq: 4 } : entry));
    assert.ok(judge({ ...facts, entries: moved }).some(({ kind }) => kind === 'ledger'));
  });

  it('finds a job that did not end, and one that failed', () => {
    left.entries.pop();
    assert.deepEqual(left.kinds, ['unfinished']);
    left.add('job.failed', { jobId: JOB, code: 'ROUND_FAILED', detail: '' });
    assert.deepEqual(left.kinds, ['unfinished']);
  });

  it('passes complaints about processes on', () => {
    left.complaints.push('north ended by itself: 1');
    assert.deepEqual(left.kinds, ['process']);
  });

  it('takes no case for one that survived where nothing shows that its fault happened', () => {
    assert.deepEqual(judgeEvidence([{ what: 'packets dropped', count: 3 }]), []);
    for (const evidence of [
      [],
      [
        { what: 'kills', count: 1 },
        { what: 'bits inverted', count: 0 },
      ],
    ])
      assert.deepEqual(
        judgeEvidence(evidence).map(({ kind }) => kind),
        ['missed'],
      );
    assert.equal(judgeEvidence([{ what: 'skew', count: Number.NaN }]).length, 1);
  });

  it('counts recovery from the exec of a process until it is back, and those that lost it with it', () => {
    const start = (name: string, execMs: number, again = true) => ({ name, execMs, again });
    const sign = (name: string, timeMs: number) => ({ name, timeMs });
    const first = [start('coordinator', 0, false), start('north', 0, false), start('west', 0, false)];
    const signs = [sign('coordinator', 500), sign('north', 900), sign('west', 950)];
    assert.deepEqual(recoveries(first, signs), [], 'nothing was started again');
    const after = [...signs, sign('coordinator', 10_700), sign('north', 12_000), sign('west', 11_000)];
    assert.deepEqual(recoveries([...first, start('coordinator', 10_000)], after), [2]);
    // An agent that was started later has a figure of its own.
    const both = [...first, start('coordinator', 10_000), start('north', 10_900)];
    assert.deepEqual(recoveries(both, after), [1, 1.1]);
    // It died again before it was back: its next start counts.
    assert.deepEqual(recoveries([...first, start('north', 9_000), start('north', 10_000)], after), [2]);
  });

  it('reads weights as they are stored', () => {
    assert.equal(digestOf(ZERO), digestOfBytes(float32ToBytes(ZERO)));
  });
});
