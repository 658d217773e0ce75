import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

import { INITIAL_ALERTS } from '@tributary/edge-agent/internal/domain/streams/alerts.js';
import { snapshotCodec } from '@tributary/edge-agent/internal/domain/streams/key-state-codec.js';
import { compileKeyStream } from '@tributary/edge-agent/internal/domain/streams/key-stream.js';
import type { StreamMessage } from '@tributary/edge-agent/internal/domain/streams/payload/message.js';

import { message, pipeline, play } from '../../support/stream-pipeline.js';

const START = 1_700_000_000_000;
const RATE = 360;
const PER_MESSAGE = 36;
const BYTES = gunzipSync(readFileSync(new URL('../../../data/ecg_mitdb208_360hz.u16le.gz', import.meta.url)));

const document = pipeline({
  model: undefined,
  source: { broker: 'ward', topics: ['bed/{bed}/ecg'] },
  payload: {
    type: 'Samples',
    encoding: 'U16Le',
    channels: ['ecg'],
    rateHz: RATE,
    scale: 0.005,
    offset: -5.12,
    time: { type: 'Property', property: 't' },
  },
  result: { topic: 'beats/{bed}' },
  window: {
    type: 'Event',
    latenessMs: 500,
    trigger: { type: 'RPeak', column: 'ecg', beforeMs: 250, afterMs: 400 },
    reduce: [
      { column: 'beat', from: 'ecg', function: 'Series' },
      { column: 'interval', from: 'ecg', function: 'Interval' },
      { column: 'peak', from: 'ecg', function: 'Max' },
    ],
  },
});

/** The record as a device sends it: a tenth of a second at a time. */
const messages = Array.from({ length: BYTES.length / (2 * PER_MESSAGE) }, (_, index) =>
  message(new Uint8Array(BYTES.subarray(index * 2 * PER_MESSAGE, (index + 1) * 2 * PER_MESSAGE)), {
    topic: 'bed/7/ecg',
    properties: { t: String(START + index * 100) },
    arrivalMs: START + index * 100 + 100,
  }),
);

describe('five minutes of ECG (MIT-BIH 208)', function () {
  this.timeout(20_000);
  const { decisions, effects, states } = play(document, messages, { flush: false });
  const intervals = decisions.flatMap(({ trigger }) => trigger?.intervalMs ?? []);

  it('have the beats of the record: about 98 a minute over its half hour (Moody and Mark 2001: 2955 in 30:06)', () => {
    assert.ok(decisions.length > 475 && decisions.length < 520, String(decisions.length));
    const sorted = [...intervals].sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1] ?? 0;
    assert.ok(60_000 / median > 85 && 60_000 / median < 115, String(60_000 / median));
    assert.ok((sorted[0] ?? 0) > 200, 'no two beats within the refractory time');
    // From 209 to 214 s the electrode is off: the signal is the decay of a jump, without a beat.
    assert.ok(sorted.filter((ms) => ms > 2_000).length <= 3, sorted.slice(-4).join());
  });

  it('give windows of 234 samples around the R wave, without gaps', () => {
    const inner = decisions.slice(1);
    for (const { row, gaps, points } of inner) {
      assert.equal(points, 234);
      assert.equal(gaps.count, 0);
      assert.ok(Array.isArray(row['beat']) && row['beat'].length === 234 && !row['beat'].includes(null));
    }
    const ids = new Set(decisions.map(({ id }) => id));
    assert.equal(ids.size, decisions.length);
  });

  it('lie around the wave: the sample at 250 ms is farthest from the mean of its window, or nearly', () => {
    const near = decisions.slice(1).filter(({ row }) => {
      const beat = row['beat'] as readonly number[];
      const mean = beat.reduce((sum, value) => sum + value, 0) / beat.length;
      const size = beat.slice(60, 121).map((value) => Math.abs(value - mean));
      return Math.max(...size.slice(25, 36)) === Math.max(...size);
    });
    assert.ok(near.length > 0.9 * decisions.length, `${String(near.length)} of ${String(decisions.length)}`);
  });

  it('complete every message in its own step', () => {
    const completed = effects.flatMap((effect) => (effect.type === 'Completed' ? [effect] : []));
    assert.deepEqual(
      completed.map(({ input, by }) => `${String(input)} ${by}`),
      messages.map((_, index) => `${String(index)} State`),
    );
  });

  it('hold a few seconds of samples at any time', () => {
    const state = states.get('7');
    assert.ok(state && state.runs.length < 60, String(state?.runs.length));
    const codec = snapshotCodec(document.spec, compileKeyStream('vitals', document.spec).initial);
    const bytes = codec.encode({ key: '7', state, alerts: INITIAL_ALERTS });
    assert.ok(bytes.length < 96 * 1_024, String(bytes.length));
  });

  it('give the same beats when messages overtake each other, come twice, and the agent restarts', () => {
    const codec = snapshotCodec(document.spec, compileKeyStream('vitals', document.spec).initial);
    const swapped: StreamMessage[] = [];
    for (let index = 0; index < messages.length; index += 3)
      for (const at of [2, 0, 1, 0]) {
        const one = messages[index + at];
        if (one !== undefined) swapped.push(one);
      }
    let step = 0;
    const played = play(document, swapped, {
      flush: false,
      between: (state) =>
        step++ % 50 === 0
          ? (codec.decode(codec.encode({ key: '7', state, alerts: INITIAL_ALERTS }))?.state ?? state)
          : state,
    });
    assert.deepEqual(played.decisions, decisions);
  });

  it('record a loss of signal, and count no beat in it', () => {
    const lost = messages.filter((_, index) => index < 1_000 || index >= 1_020);
    const { decisions: beats } = play(document, lost, { flush: false });
    const [from, to] = [START + 100_000, START + 102_000];
    assert.deepEqual(
      beats.filter(({ trigger }) => trigger !== undefined && trigger.timeMs >= from && trigger.timeMs < to),
      [],
    );
    const torn = beats.filter(
      ({ gaps }) => gaps.count > 0 && gaps.listed.every(({ startMs }) => startMs > START + 1_000),
    );
    for (const { row, points, gaps } of torn) {
      const beat = row['beat'] as readonly (number | null)[];
      assert.equal(beat.filter((value) => value !== null).length, points);
      assert.ok(gaps.totalMs > 0);
    }
    const first = beats.find(({ trigger }) => trigger !== undefined && trigger.timeMs >= to);
    assert.equal(first?.trigger?.intervalMs, null, 'an interval across a gap is not known');
  });
});
