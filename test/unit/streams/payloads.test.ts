import assert from 'node:assert/strict';

import { compileDecoder } from '@tributary/edge-agent/internal/domain/streams/decoding.js';
import { isFault } from '@tributary/edge-agent/internal/domain/streams/fault.js';
import { readInstant } from '@tributary/edge-agent/internal/domain/streams/instant.js';
import { compileTopics } from '@tributary/edge-agent/internal/domain/streams/topic-matching.js';
import { LIMITS } from '@tributary/proto';
import fc from 'fast-check';

import { itemsOf, message, pipeline } from '../../support/stream-pipeline.js';

const reasonOf = (
  changes: Readonly<Record<string, unknown>>,
  ...args: Parameters<typeof message>
): string => {
  const items = compileDecoder(pipeline(changes).spec)(message(...args));
  return isFault(items) ? items.reason : 'none';
};

const samples = (changes: object = {}): Readonly<Record<string, unknown>> => ({
  payload: {
    type: 'Samples',
    encoding: 'U16Le',
    channels: ['ecg'],
    rateHz: 360,
    scale: 0.005,
    offset: -5.12,
    time: { type: 'Property', property: 't', unit: 'Seconds' },
    ...changes,
  },
});

describe('topic templates', () => {
  const match = compileTopics(['site/+/bed/{bed}/ecg', 'ward/{ward}/#', '+/{x}']);
  const CASES: readonly (readonly [topic: string, captures: object | undefined])[] = [
    ['site/a/bed/7/ecg', { bed: '7' }],
    ['site/a/bed//ecg', { bed: '' }],
    ['site/a/bed/7/ecg/more', undefined],
    ['ward/3', { ward: '3' }],
    ['ward/3/a/b', { ward: '3' }],
    ['any/thing', { x: 'thing' }],
    ['$SYS/load', undefined],
    ['', undefined],
  ];
  for (const [topic, captures] of CASES)
    it(`${topic || '(nothing)'} ${captures ? 'matches' : 'does not match'}`, () => {
      assert.deepEqual(match(topic), captures);
    });
});

describe('times', () => {
  it('are read in their unit, and RFC 3339 in any', () => {
    assert.equal(readInstant(1_700_000_000.5, 'Seconds'), 1_700_000_000_500);
    assert.equal(readInstant('1700000000123456789', 'Nanoseconds'), 1_700_000_000_123.457);
    assert.equal(readInstant('2023-11-14T22:13:20.000250Z', 'Seconds'), 1_700_000_000_000.25);
    assert.equal(readInstant('2023-11-15T00:13:20+02:00', 'Milliseconds'), 1_700_000_000_000);
  });

  for (const bad of [
    '2023-02-29T00:00:00Z',
    '2023-11-14T24:00:00Z',
    '2023-11-14',
    'soon',
    -1,
    NaN,
    1e300,
    {},
    null,
  ])
    it(`${JSON.stringify(bad)} is none`, () => {
      assert.equal(readInstant(bad, 'Milliseconds'), undefined);
    });

  it('agree with Date for every instant that both can write', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date('2255-01-01'), noInvalidDate: true }), (date) => {
        assert.equal(readInstant(date.toISOString(), 'Seconds'), date.getTime());
      }),
    );
  });
});

describe('JSON payloads', () => {
  it('give a record with its columns, key and labels', () => {
    const [item] = itemsOf(pipeline(), message({ t: 5, vitals: { pulse: 72 }, other: 1 }));
    assert.equal(item?.key, '7');
    assert.deepEqual(item.run.columns, { pulse: [72] });
    assert.deepEqual(item.run.labels, { bed: '7' });
    assert.equal(item.run.startMs, 5);
  });

  it('that are lists give an item for each, with an identity of its own', () => {
    const one = { t: 5, vitals: { pulse: 72 } };
    const items = itemsOf(pipeline(), message([one, one]));
    assert.equal(items.length, 2);
    assert.notEqual(items[0]?.run.identity, items[1]?.run.identity);
  });

  it('with a rate give samples', () => {
    const payload = {
      type: 'Json',
      columns: { a: 'a', b: 'b' },
      rateHz: 4,
      time: { type: 'Path', path: 't' },
    };
    const [item] = itemsOf(pipeline({ payload }), message({ t: 100, a: [1, null], b: [3, 4] }));
    assert.deepEqual(item?.run.columns, { a: [1, null], b: [3, 4] });
    assert.equal(item?.run.periodMs, 250);
    assert.equal(reasonOf({ payload }, { t: 100, a: [1], b: [3, 4] }), 'UnequalLists');
    assert.equal(reasonOf({ payload }, { t: 100, a: 1, b: [3, 4] }), 'UnusableCell');
  });

  const TEXT = new TextEncoder();
  const REFUSED: Readonly<Record<string, readonly [payload: unknown, reason: string]>> = {
    'bytes that are no text': [Uint8Array.of(0xff, 0xfe), 'NotText'],
    'text that is no JSON': [TEXT.encode('{'), 'NotJson'],
    'a number alone': [7, 'NotAnObject'],
    'no time': [{ vitals: { pulse: 1 } }, 'NoTime'],
    'none of the columns': [{ t: 1 }, 'NoColumns'],
    'an object where a cell should be': [{ t: 1, vitals: { pulse: {} } }, 'UnusableCell'],
    'more bytes than a message may have': [new Uint8Array(LIMITS.streamPayloadBytes + 1), 'TooLarge'],
  };
  for (const [name, [payload, reason]] of Object.entries(REFUSED))
    it(`refuses ${name}`, () => {
      assert.equal(reasonOf({}, payload), reason);
    });

  it('of another topic are refused', () => {
    assert.equal(reasonOf({}, { t: 1, vitals: { pulse: 1 } }, { topic: 'other' }), 'UnknownTopic');
  });

  it('that come again have the same content, with an id or a time of their own the same identity', () => {
    const payload = { type: 'Json', columns: { pulse: 'pulse' } };
    const [a, b] = [0, 1].map(
      (arrivalMs) => itemsOf(pipeline({ payload }), message({ pulse: 1 }, { arrivalMs }))[0],
    );
    assert.equal(a?.content, b?.content);
    assert.notEqual(a?.run.identity, b?.run.identity);
    const known = { ...payload, id: 'id' };
    const [c, d] = [0, 1].map(
      (arrivalMs) => itemsOf(pipeline({ payload: known }), message({ pulse: 1, id: 'x' }, { arrivalMs }))[0],
    );
    assert.equal(c?.run.identity, d?.run.identity);
  });
});

describe('packed samples', () => {
  it('are scaled, take turns, and begin at the time of a user property', () => {
    const [item] = itemsOf(
      pipeline(samples({ channels: ['i', 'ii'], encoding: 'I16Le', scale: 2, offset: 1 })),
      message(Uint8Array.of(1, 0, 2, 0, 0xff, 0xff, 3, 0), { properties: { t: '1.5' } }),
    );
    assert.deepEqual(item?.run.columns, { i: [3, -1], ii: [5, 7] });
    assert.equal(item?.run.startMs, 1_500);
  });

  it('of floats that are not finite are missing', () => {
    const bytes = new Uint8Array(Float32Array.of(1, NaN, Infinity).buffer);
    const document = pipeline(samples({ encoding: 'F32Le', scale: 1, offset: 0 }));
    const [item] = itemsOf(document, message(bytes, { properties: { t: '1' } }));
    assert.deepEqual(item?.run.columns, { ecg: [1, null, null] });
  });

  it('that come when they come end with their arrival', () => {
    const document = pipeline(samples({ time: { type: 'Arrival' } }));
    const [item] = itemsOf(document, message(new Uint8Array(720), { arrivalMs: 10_000 }));
    assert.equal(item?.run.startMs, 9_000);
    assert.equal(item?.arrived, true);
  });

  it('are refused where half a sample is there, or none, or no time', () => {
    assert.equal(reasonOf(samples(), Uint8Array.of(1), { properties: { t: '1' } }), 'Ragged');
    assert.equal(reasonOf(samples(), new Uint8Array(0), { properties: { t: '1' } }), 'Ragged');
    assert.equal(reasonOf(samples(), new Uint8Array(2)), 'NoTime');
  });
});

describe('any bytes', () => {
  const payloads: Readonly<Record<string, object>> = {
    Json: { type: 'Json', columns: { a: 'a.b[0]' }, id: 'id', time: { type: 'Path', path: 't' } },
    Cbor: { type: 'Cbor', columns: { a: 'a' }, rateHz: 10 },
    Samples: { type: 'Samples', encoding: 'F64Be', channels: ['a', 'b'], rateHz: 1 },
    FhirObservation: { type: 'FhirObservation', codes: { a: 'x|y' }, columns: {} },
  };
  for (const [name, payload] of Object.entries(payloads)) {
    const decode = compileDecoder(pipeline({ payload }).spec);
    it(`never throw as ${name}`, () => {
      const json = fc.json().map((text) => new TextEncoder().encode(text));
      fc.assert(
        fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), json), fc.string(), (bytes, level) => {
          decode(message(bytes, { topic: `site/a/bed/${level}/vitals` }));
        }),
        { numRuns: 2_000 },
      );
    });
  }
});
