import assert from 'node:assert/strict';

import { INITIAL_ALERTS } from '@tributary/edge-agent/internal/domain/streams/alerts.js';
import { snapshotCodec } from '@tributary/edge-agent/internal/domain/streams/key-state-codec.js';
import { compileKeyStream } from '@tributary/edge-agent/internal/domain/streams/key-stream.js';
import type { StreamMessage } from '@tributary/edge-agent/internal/domain/streams/payload/message.js';
import { LIMITS, type StreamPipeline } from '@tributary/proto';
import fc from 'fast-check';

import { message, pipeline, play } from '../../support/stream-pipeline.js';
import { refusal } from '../../support/refusal.js';

const START = 1_700_000_000_000;
const FUNCTIONS = ['Last', 'Mean', 'Min', 'Max', 'Count', 'Std', 'Series'];
const reduce = FUNCTIONS.map((name) => ({ column: name, from: 'pulse', function: name }));
const tumbling = (changes: object = {}): StreamPipeline =>
  pipeline({ window: { type: 'Tumbling', sizeMs: 1_000, reduce, ...changes } });

const pulse = (at: number, value: unknown, changes: Partial<StreamMessage> = {}): StreamMessage =>
  message({ t: START + at, vitals: { pulse: value } }, { arrivalMs: START + 10_000, ...changes });

const types = (document: StreamPipeline, messages: readonly StreamMessage[]): readonly string[] =>
  play(document, messages, { flush: false }).effects.map((effect) => {
    if (effect.type === 'Completed') return `Completed ${String(effect.input)} ${effect.by}`;
    if (effect.type === 'Decide') return `Decide ${String(effect.decision.endMs - START)}`;
    return `${effect.type} ${effect.reason}`;
  });

describe('a window of records', () => {
  it('is reduced to a row', () => {
    const { decisions } = play(tumbling(), [
      pulse(0, 2),
      pulse(1, 4),
      pulse(2, null),
      pulse(3, '9'),
      pulse(1_000, 1),
    ]);
    assert.deepEqual(decisions[0]?.row, {
      Last: '9',
      Mean: 5,
      Min: 2,
      Max: 9,
      Count: 3,
      Std: Math.sqrt(13),
      Series: [2, 4, 9],
    });
    assert.equal(decisions[0]?.points, 4);
    assert.deepEqual([decisions[0]?.startMs, decisions[0]?.endMs], [START, START + 1_000]);
  });

  it('without a number has none, and no deviation of one', () => {
    const { decisions } = play(tumbling(), [pulse(0, 'high'), pulse(1_000, 3)]);
    const [first, second] = decisions.map(({ row }) => row);
    assert.deepEqual(
      [first?.['Mean'], first?.['Min'], first?.['Count'], first?.['Series']],
      [null, null, 1, []],
    );
    assert.deepEqual([second?.['Mean'], second?.['Std']], [3, null]);
  });

  it('completes an input with the state that holds it, after what it closed', () => {
    assert.deepEqual(types(tumbling(), [pulse(0, 1), pulse(1_500, 1)]), [
      'Completed 0 State',
      'Decide 1000',
      'Completed 1 State',
    ]);
  });

  it('drops what is late, or reports it', () => {
    const messages = [pulse(0, 1), pulse(2_500, 1), pulse(1_900, 1), pulse(2_100, 1)];
    assert.deepEqual(types(tumbling(), messages).slice(3), [
      'Skipped Late',
      'Completed 2 Late',
      'Completed 3 State',
    ]);
    assert.deepEqual(types(tumbling({ late: 'DeadLetter' }), messages).slice(3), [
      'Skipped Late',
      'DeadLetter Late',
      'Completed 2 DeadLetter',
      'Completed 3 State',
    ]);
    assert.ok(!types(tumbling({ latenessMs: 600 }), messages).includes('Skipped Late'));
  });

  it('knows a message that comes again', () => {
    assert.deepEqual(types(tumbling(), [pulse(0, 1), pulse(0, 1)]).slice(1), [
      'Skipped Duplicate',
      'Completed 1 Duplicate',
    ]);
  });

  it('is not closed by a clock that runs ahead', () => {
    const ahead = pulse(10_000 + LIMITS.clockSkewMs + 1, 1);
    assert.deepEqual(types(tumbling(), [pulse(0, 1), ahead]).slice(1), [
      'DeadLetter Future',
      'Completed 1 DeadLetter',
    ]);
  });

  it('closes when its key has been silent for long enough, where that is asked for', () => {
    const document = tumbling({ idleMs: 5_000 });
    const stream = compileKeyStream('vitals', document.spec);
    const { states } = play(document, [pulse(0, 1)], { flush: false });
    const state = states.get('7') ?? stream.initial;
    const at = (nowMs: number): readonly string[] =>
      stream.step('7', state, { type: 'Clock', nowMs }).effects.map(({ type }) => type);
    assert.deepEqual(at(START + 14_999), []);
    assert.deepEqual(at(START + 15_000), ['Decide']);
    assert.equal(stream.isForgettable(state, START + 10_000 + 2 * LIMITS.streamForgetMs), false);
    const closed = stream.step('7', state, { type: 'Flush' }).state;
    assert.equal(stream.isForgettable(closed, START + 10_000 + LIMITS.streamForgetMs), false);
    assert.equal(stream.isForgettable(closed, START + 10_001 + LIMITS.streamForgetMs), true);
  });

  it('refuses more than a key may hold', () => {
    const document = tumbling({ sizeMs: 86_400_000 });
    const rows = Array.from({ length: LIMITS.streamRunsPerKey }, (_, at) => ({
      t: START + at,
      vitals: { pulse: at },
    }));
    const parts = Array.from({ length: 8 }, (_, part) =>
      message(rows.slice((part * rows.length) / 8, ((part + 1) * rows.length) / 8), {
        arrivalMs: START + 100_000,
      }),
    );
    const last = types(document, [...parts, pulse(50_000, 1, { arrivalMs: START + 100_000 })]).slice(-2);
    assert.deepEqual(last, ['DeadLetter Overflow', `Completed ${String(rows.length)} DeadLetter`]);
  }).timeout(60_000);
});

describe('records by themselves', () => {
  it('are answered at once, whatever their order, with the same id when they come again', () => {
    const document = pipeline();
    const messages = [pulse(5_000, 1), pulse(0, 2), pulse(0, 2)];
    assert.deepEqual(types(document, messages), [
      'Decide 5000',
      'Completed 0 Result',
      'Decide 0',
      'Completed 1 Result',
      'Skipped Duplicate',
      'Completed 2 Duplicate',
    ]);
    const [first] = play(document, [pulse(0, 2)]).decisions;
    assert.equal(first?.id, play(document, messages).decisions[1]?.id);
    assert.match(first?.id ?? '', /^[0-9a-f]{32}$/);
    assert.deepEqual(first?.row, { bed: '7', pulse: 2 });
  });

  it('that know neither id nor time are each answered, but for those that the broker repeats', () => {
    const document = pipeline({ payload: { type: 'Json', columns: { pulse: 'pulse' } } });
    const one = message({ pulse: 1 });
    const later = message({ pulse: 1 }, { arrivalMs: one.arrivalMs + 5 });
    const { decisions } = play(document, [one, later, { ...later, redelivered: true }]);
    assert.equal(new Set(decisions.map(({ id }) => id)).size, 2);
    assert.equal(decisions.length, 2);
  });
});

describe('samples', () => {
  const payload = {
    type: 'Samples',
    encoding: 'U8',
    channels: ['pulse'],
    rateHz: 10,
    time: { type: 'Property', property: 't' },
  };
  const document = pipeline({ payload, window: { type: 'Tumbling', sizeMs: 1_000, reduce } });
  const run = (at: number, ...values: readonly number[]): StreamMessage =>
    message(Uint8Array.from(values), { properties: { t: String(START + at) } });

  it('have their places in a series, and what is missing is recorded', () => {
    const { decisions } = play(document, [run(0, 1, 2, 3), run(500, 6, 7, 8, 9, 10)]);
    assert.deepEqual(decisions[0]?.row['Series'], [1, 2, 3, null, null, 6, 7, 8, 9, 10]);
    assert.deepEqual(decisions[0]?.gaps, {
      listed: [{ startMs: START + 300, endMs: START + 500 }],
      count: 1,
      totalMs: 200,
    });
  });

  it('that overlap known ones count once, and the first stays', () => {
    const { decisions, effects } = play(document, [run(0, 1, 2, 3, 4), run(200, 9, 9, 5, 6, 7, 8, 9, 10)]);
    assert.deepEqual(decisions[0]?.row['Series'], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.equal(decisions[0]?.gaps.count, 0);
    assert.ok(effects.some((effect) => effect.type === 'Skipped' && effect.points === 2));
  });

  it('of a clock that wanders by less than half a period leave no gap and no overlap', () => {
    const { decisions, effects } = play(document, [
      run(0, 1, 2, 3),
      run(320, 4, 5, 6),
      run(590, 7, 8, 9, 10),
    ]);
    assert.deepEqual(decisions[0]?.row['Series'], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.equal(decisions[0]?.gaps.count, 0);
    assert.ok(!effects.some(({ type }) => type === 'Skipped'));
  });

  it('that come when they come follow each other evenly', () => {
    const arriving = pipeline({
      payload: { ...payload, time: { type: 'Arrival' } },
      window: { type: 'Session', gapMs: 5_000, reduce },
    });
    const at = (ms: number, ...values: readonly number[]): StreamMessage =>
      message(Uint8Array.from(values), { arrivalMs: START + ms });
    const { decisions } = play(arriving, [at(300, 1, 2, 3), at(650, 4, 5, 6), at(880, 7, 8, 9)]);
    assert.equal(decisions.length, 1);
    assert.deepEqual(decisions[0]?.row['Series'], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(decisions[0]?.gaps.count, 0);
  });
});

describe('the state of a key on disk', () => {
  const { spec } = tumbling();
  const { initial } = compileKeyStream('vitals', spec);
  const codec = snapshotCodec(spec, initial);
  const state = play(tumbling(), [pulse(0, 1), pulse(100, 'x')], { flush: false }).states.get('7') ?? initial;
  const bytes = codec.encode({ key: '7', state, alerts: INITIAL_ALERTS });
  const altered = (from: string, to: string): Uint8Array =>
    new TextEncoder().encode(new TextDecoder().decode(bytes).replace(from, to));

  it('is read as it was', () => {
    assert.deepEqual(codec.decode(bytes), { key: '7', state, alerts: INITIAL_ALERTS });
  });

  it('of other windows is none', () => {
    assert.equal(snapshotCodec(tumbling({ sizeMs: 2_000 }).spec, initial).decode(bytes), undefined);
  });

  it('of a newer version is refused', () => {
    assert.throws(
      () => codec.decode(altered('"formatVersion":1', '"formatVersion":2')),
      refusal('FORMAT_UNSUPPORTED'),
    );
  });

  it('that is damaged is refused, and nothing else happens', () => {
    assert.throws(() => codec.decode(altered('"runs":[{', '"runs":[1,{')), refusal('STORE_CORRUPT'));
    assert.throws(() => codec.decode(altered('"formatVersion":1,', '')), refusal('STORE_CORRUPT'));
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = bytes.slice();
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        try {
          codec.decode(damaged);
        } catch (error) {
          assert.match(String((error as { code?: unknown }).code), /^(STORE_CORRUPT|FORMAT_UNSUPPORTED)$/);
        }
      }),
    );
  });
});
