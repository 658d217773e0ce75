import assert from 'node:assert/strict';

import { INITIAL_ALERTS } from '@tributary/edge-agent/internal/domain/streams/alerts.js';
import { snapshotCodec } from '@tributary/edge-agent/internal/domain/streams/key-state-codec.js';
import type { KeyState } from '@tributary/edge-agent/internal/domain/streams/key-state.js';
import { compileKeyStream } from '@tributary/edge-agent/internal/domain/streams/key-stream.js';
import type { StreamMessage } from '@tributary/edge-agent/internal/domain/streams/payload/message.js';
import { LIMITS, type StreamPipeline } from '@tributary/proto';
import fc from 'fast-check';

import { message, pipeline, play } from '../../support/stream-pipeline.js';

const START = 1_700_000_000_000;
const LATENESS = 2_000;
const reduce = [
  { column: 'mean', from: 'pulse', function: 'Mean' },
  { column: 'count', from: 'pulse', function: 'Count' },
  { column: 'all', from: 'pulse', function: 'Series' },
];
const common = { latenessMs: LATENESS, reduce };
const threshold = {
  type: 'Threshold',
  column: 'pulse',
  level: 0,
  hysteresis: 1,
  beforeMs: 300,
  afterMs: 400,
};

const RECORDS: Readonly<Record<string, object>> = {
  Tumbling: { type: 'Tumbling', sizeMs: 1_000, ...common },
  Sliding: { type: 'Sliding', sizeMs: 1_000, stepMs: 300, ...common },
  Session: { type: 'Session', gapMs: 700, maximumMs: 3_000, ...common },
  Event: { type: 'Event', trigger: threshold, ...common },
};

const SAMPLED = {
  type: 'Samples',
  encoding: 'F32Le',
  channels: ['pulse'],
  rateHz: 360,
  time: { type: 'Property', property: 't' },
};

const recordsOf = (window: object): StreamPipeline => pipeline({ window });
const samplesOf = (window: object): StreamPipeline => pipeline({ window, payload: SAMPLED });

/** Records at distinct times, so that each message is itself. */
const records = fc
  .uniqueArray(
    fc.record({ at: fc.integer({ min: 0, max: 20_000 }), pulse: fc.integer({ min: -3, max: 3 }) }),
    {
      selector: ({ at }) => at,
      maxLength: 60,
    },
  )
  .map((list) =>
    [...list]
      .sort((a, b) => a.at - b.at)
      .map(({ at, pulse }) => message({ t: START + at, vitals: { pulse } })),
  );

/** Runs of 36 samples, some of which are missing. */
const runs = fc
  .array(fc.record({ missing: fc.boolean(), seed: fc.integer({ min: 0, max: 1_000 }) }), { maxLength: 60 })
  .map((list) =>
    list.flatMap(({ missing, seed }, index) =>
      missing && seed % 3 === 0 ? [] : [sampleMessage(index, seed)],
    ),
  );

function sampleMessage(index: number, seed: number): StreamMessage {
  const values = Float32Array.from({ length: 36 }, (_, at) => Math.sin(seed + at / 3) * 2);
  const t = String(START + index * 100);
  return message(new Uint8Array(values.buffer), { properties: { t } });
}

const timeOf = ({ properties, payload }: StreamMessage): number =>
  Number(properties['t'] ?? (JSON.parse(new TextDecoder().decode(payload)) as { t: number }).t);

/**
 * An order of arrival in which nothing comes later than the lateness allows: each is delayed by less, and they arrive in
 * the order of their delayed times. A run of samples is 100 ms long, of which its last sample is the newest.
 */
function shuffled(messages: readonly StreamMessage[], delays: readonly number[]): readonly StreamMessage[] {
  return messages
    .map((one, index) => ({ one, at: timeOf(one) + (delays[index % delays.length] ?? 0) }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

const delays = fc.array(fc.integer({ min: 0, max: LATENESS - 101 }), { minLength: 1, maxLength: 60 });

/** Sends every state through its bytes. */
function restarting(document: StreamPipeline, every: readonly boolean[]): (state: KeyState) => KeyState {
  const codec = snapshotCodec(document.spec, compileKeyStream('vitals', document.spec).initial);
  let step = 0;
  return (state) => {
    if (every[step++ % every.length] !== true) return state;
    const snapshot = codec.decode(codec.encode({ key: '7', state, alerts: INITIAL_ALERTS }));
    assert.ok(snapshot);
    return snapshot.state;
  };
}

describe('windows in event time', () => {
  for (const [name, window] of Object.entries(RECORDS))
    for (const [kind, document, messages] of [
      ['records', recordsOf(window), records],
      ['samples', samplesOf(window), runs],
    ] as const) {
      it(`${name}, of ${kind}: any order within the lateness gives the same decisions`, () => {
        fc.assert(
          fc.property(messages, delays, (list, late) => {
            const inOrder = play(document, list);
            const outOfOrder = play(document, shuffled(list, late));
            assert.deepEqual(outOfOrder.decisions, inOrder.decisions);
            assert.ok(!outOfOrder.effects.some(({ type }) => type === 'Skipped'));
          }),
          { numRuns: 60 },
        );
      });

      it(`${name}, of ${kind}: restarts change nothing`, () => {
        fc.assert(
          fc.property(messages, delays, fc.array(fc.boolean(), { minLength: 1 }), (list, late, every) => {
            const order = shuffled(list, late);
            const whole = play(document, order);
            const restarted = play(document, order, { between: restarting(document, every) });
            assert.deepEqual(restarted.effects, whole.effects);
            assert.deepEqual(restarted.states, whole.states);
          }),
          { numRuns: 40 },
        );
      });

      it(`${name}, of ${kind}: repeated messages change no decision, and each input is completed once`, () => {
        fc.assert(
          fc.property(messages, fc.array(fc.nat({ max: 59 }), { maxLength: 30 }), (list, again) => {
            const repeated = list.flatMap((one, index) => (again.includes(index) ? [one, one] : [one]));
            const played = play(document, repeated);
            assert.deepEqual(played.decisions, play(document, list).decisions);
            const completed = played.effects.flatMap((effect) =>
              effect.type === 'Completed' ? [effect.input] : [],
            );
            assert.deepEqual(
              completed,
              repeated.map((_, index) => index),
            );
          }),
          { numRuns: 40 },
        );
      });
    }

  it('hold no more than open windows need, and never more than the limit', () => {
    const document = recordsOf({ type: 'Tumbling', sizeMs: 1_000, latenessMs: 0, reduce });
    const many = Array.from({ length: 5_000 }, (_, index) =>
      message({ t: START + index * 10, vitals: { pulse: 1 } }),
    );
    const state = play(document, many, { flush: false }).states.get('7');
    assert.ok(state && state.runs.length <= 101, String(state?.runs.length));
    assert.ok(state.recent.toJSON().pages.flat().length <= LIMITS.streamRecentIds);
  });
});
