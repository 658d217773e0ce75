import assert from 'node:assert/strict';

import {
  compileDecoder,
  type MessageDecoder,
} from '@tributary/edge-agent/internal/domain/streams/decoding.js';
import { readSampledData } from '@tributary/edge-agent/internal/domain/streams/payload/sampled-data.js';
import fc from 'fast-check';

import { itemsOf, message, pipeline } from '../../support/stream-pipeline.js';

const MDC = 'urn:oid:2.16.840.1.113883.6.24';
const LOINC = 'http://loinc.org';

const document = pipeline({
  payload: {
    type: 'FhirObservation',
    codes: { ecg: `${MDC}|131329`, pulse: `${LOINC}|8867-4`, systolic: '8480-6' },
    columns: { patient: 'subject.identifier.value' },
    id: 'id',
  },
  key: '{patient}',
  result: { topic: 'results/{patient}' },
});

const coded = (system: string, code: string): object => ({ coding: [{ system, code }] });

function observation(changes: object): object {
  return {
    resourceType: 'Observation',
    id: 'ekg-1',
    status: 'final',
    code: coded(MDC, '131328'),
    subject: { identifier: { value: 'p1' } },
    effectiveDateTime: '2015-02-19T09:30:35+01:00',
    ...changes,
  };
}

const sampled = (changes: object = {}): object => ({
  origin: { value: 2 },
  period: 10,
  factor: 0.5,
  lowerLimit: -3,
  upperLimit: 3,
  dimensions: 1,
  data: '1 -2 E L U 4.5 0',
  ...changes,
});

const read = (value: unknown): ReturnType<MessageDecoder> => compileDecoder(document.spec)(message(value));

describe('FHIR SampledData', () => {
  it('is origin plus factor times number; E is missing, L and U are the limits', () => {
    assert.deepEqual(readSampledData(sampled()), {
      periodMs: 10,
      dimensions: [[2.5, 1, null, -3, 3, 4.25, 2]],
    });
  });

  it('without a factor is the number itself, and without limits L and U are missing', () => {
    const bare = { origin: { value: 0 }, period: 4, dimensions: 1, data: 'L 7 U' };
    assert.deepEqual(readSampledData(bare), { periodMs: 4, dimensions: [[null, 7, null]] });
  });

  it('interleaves dimensions', () => {
    const value = sampled({ dimensions: 2, factor: 1, origin: { value: 0 }, data: '1 10 2 20 3 30' });
    assert.deepEqual(readSampledData(value), {
      periodMs: 10,
      dimensions: [
        [1, 2, 3],
        [10, 20, 30],
      ],
    });
  });

  it('takes the interval of R5', () => {
    const { period: _, ...rest } = sampled() as { readonly period: number };
    const of = (interval: number, intervalUnit: string): unknown => {
      const data = readSampledData({ ...rest, interval, intervalUnit });
      return 'periodMs' in data ? data.periodMs : data.field;
    };
    assert.deepEqual([of(4, 'ms'), of(0.5, 's'), of(1, 'min'), of(1, 'mo')], [4, 500, 60_000, 'period']);
  });

  const BROKEN: Readonly<Record<string, readonly [change: object, field: string]>> = {
    'no origin': [{ origin: {} }, 'origin'],
    'a period of nothing': [{ period: 0 }, 'period'],
    'a factor that is a text': [{ factor: '2' }, 'factor'],
    'a limit that is a text': [{ lowerLimit: 'low' }, 'lowerLimit'],
    'half a dimension': [{ dimensions: 1.5 }, 'dimensions'],
    'values for half a time': [{ dimensions: 2, data: '1 2 3' }, 'data'],
    'a word among the numbers': [{ data: '1 two 3' }, 'data'],
    'hexadecimal numbers': [{ data: '0x10' }, 'data'],
    'numbers beyond all measure': [{ data: '1e999' }, 'data'],
    'no data': [{ data: undefined }, 'data'],
  };
  for (const [name, [change, field]] of Object.entries(BROKEN))
    it(`refuses ${name}`, () => {
      assert.deepEqual(readSampledData(sampled(change)), { type: 'Fault', reason: 'BadSampledData', field });
    });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.object(), fc.string(), (value, data) => {
        readSampledData(value);
        readSampledData(sampled({ data }));
      }),
    );
  });
});

describe('FHIR Observation', () => {
  it('gives its components as runs at its time', () => {
    const lead = {
      code: coded(MDC, '131329'),
      valueSampledData: sampled({ dimensions: 2, data: '1 2 3 4' }),
    };
    const [item, ...others] = itemsOf(document, message(observation({ component: [lead] })));
    assert.equal(others.length, 0);
    assert.equal(item?.key, 'p1');
    assert.equal(item.run.startMs, Date.parse('2015-02-19T08:30:35Z'));
    assert.deepEqual(item.run.columns, { ecg: [2.5, 3.5], 'ecg[1]': [3, 4] });
    assert.equal(item.identified, true);
  });

  it('gives quantities as a record, with columns of its resource', () => {
    const value = observation({
      code: coded(LOINC, '8867-4'),
      valueQuantity: { value: 72, unit: '/min' },
      component: [{ code: coded(LOINC, '8480-6'), valueQuantity: { value: 120 } }],
    });
    const [item] = itemsOf(document, message(value));
    assert.deepEqual(item?.run.columns, { pulse: [72], systolic: [120], patient: ['p1'] });
    assert.equal(item?.run.periodMs, 0);
  });

  const REFUSED: Readonly<Record<string, readonly [value: unknown, reason: string]>> = {
    'another resource': [{ resourceType: 'Patient' }, 'NotAnObservation'],
    'a list': [[], 'NotAnObservation'],
    'what was entered in error': [observation({ status: 'entered-in-error' }), 'Retracted'],
    'a time without a zone': [observation({ effectiveDateTime: '2015-02-19' }), 'NoTime'],
    'nothing that is asked for': [observation({ valueQuantity: { value: 1 } }), 'NoColumns'],
    'a value of another system': [
      observation({ code: coded('urn:other', '8867-4'), valueQuantity: { value: 1 } }),
      'NoColumns',
    ],
    'a key with a wildcard in it': [
      observation({
        code: coded(LOINC, '8867-4'),
        valueQuantity: { value: 1 },
        subject: { identifier: { value: 'a/#' } },
      }),
      'NoKey',
    ],
  };
  for (const [name, [value, reason]] of Object.entries(REFUSED))
    it(`refuses ${name}`, () => {
      const fault = read(value);
      assert.ok('reason' in fault);
      assert.equal(fault.reason, reason);
    });
});
