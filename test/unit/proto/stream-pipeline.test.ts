import assert from 'node:assert/strict';

import {
  parseDocument,
  parseStreamPipeline,
  parseTextTemplate,
  parseTopicTemplate,
  topicFilter,
  topicsOverlap,
  type TopicLevel,
} from '@tributary/proto';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';
import { pipelineDocument } from '../../support/stream-pipeline.js';

const reduce = [{ column: 'mean', from: 'pulse', function: 'Mean' }];
const tumbling = { type: 'Tumbling', sizeMs: 1_000, reduce };
const event = { type: 'Event', trigger: { type: 'RPeak', column: 'pulse', afterMs: 400 }, reduce };
const alert = { name: 'a', above: 0.5, topic: 'alerts/{bed}' };
const source = (changes: object): object => ({
  source: { broker: 'ward', topics: ['site/+/bed/{bed}/vitals'], ...changes },
});
const json = (changes: object): object => ({
  payload: { type: 'Json', columns: { pulse: 'p' }, ...changes },
});

describe('StreamPipeline', () => {
  it('fills in its defaults, and parses to itself again', () => {
    const parsed = parseStreamPipeline(pipelineDocument());
    assert.deepEqual(parsed.spec.window, { type: 'Record' });
    assert.deepEqual(parsed.spec.batch, { maximumRows: 64, budgetMs: 2 });
    assert.deepEqual(parsed.spec.source, { broker: 'ward', topics: ['site/+/bed/{bed}/vitals'], qos: 1 });
    assert.deepEqual(parsed.spec.decisions, {
      retentionDays: 30,
      maximumBytes: 1_073_741_824,
      inputs: 'Digest',
    });
    assert.deepEqual(parseDocument(parsed), parsed);
  });

  it('is no other document', () => {
    assert.throws(
      () => parseStreamPipeline({ ...pipelineDocument(), kind: 'SitePolicy' }),
      refusal('DOCUMENT_INVALID'),
    );
  });

  const GOOD: Readonly<Record<string, object>> = {
    'windows of time': { window: tumbling },
    'captures in rows': {
      window: { ...tumbling, reduce: [{ column: 'bed', from: 'bed', function: 'Last' }] },
    },
    'beats in lists of samples': { ...json({ rateHz: 360 }), window: event },
    'a shared subscription of records': source({ share: 'replicas' }),
    'an alert': { alerts: [alert] },
    'no model': { model: undefined, alerts: [{ ...alert, output: 'pulse' }] },
    'columns of records in its key': { key: '{bed}/{pulse}' },
    'a time in the topic': {
      ...source({ topics: ['bed/{bed}/{at}'] }),
      ...json({ time: { type: 'Capture', capture: 'at' } }),
    },
  };
  for (const [name, changes] of Object.entries(GOOD))
    it(`takes ${name}`, () => {
      parseStreamPipeline(pipelineDocument(changes as Record<string, unknown>));
    });

  const BAD: Readonly<Record<string, readonly [changes: object, message: RegExp]>> = {
    'a template whose # is not last': [
      source({ topics: ['a/#/b'] }),
      /^spec\.source\.topics\[0\]: # stands before/,
    ],
    'half a level as wildcard': [source({ topics: ['a/b+'] }), /not a whole level/],
    'a capture twice': [source({ topics: ['{a}/{a}'] }), /the same name twice/],
    'a key of a name that is not in every topic': [
      source({ topics: ['a/{bed}', 'b/{cot}'] }),
      /^spec\.key: "bed" is not known of every message; use one of pulse/,
    ],
    'a key with half a brace': [{ key: '{bed' }, /^spec\.key: a brace has no partner/],
    'a column named as a capture': [
      json({ columns: { bed: 'b' } }),
      /^spec\.payload\.columns: "bed" is the name/,
    ],
    'no column': [json({ columns: {} }), /names no column; add one/],
    'a time that no topic holds': [
      json({ time: { type: 'Capture', capture: 'at' } }),
      /^spec\.payload\.time\.capture: is no capture/,
    ],
    'a member of packed samples': [
      {
        payload: {
          type: 'Samples',
          encoding: 'U8',
          channels: ['p'],
          rateHz: 1,
          time: { type: 'Path', path: 't' },
        },
      },
      /^spec\.payload\.time\.type: packed samples have no members/,
    ],
    'packed samples without a rate': [
      { payload: { type: 'Samples', encoding: 'U8', channels: ['p'] } },
      /^spec\.payload\.rateHz: is missing; add/,
    ],
    'a reduction of no column': [
      { window: { ...tumbling, reduce: [{ column: 'x', from: 'y', function: 'Last' }] } },
      /^spec\.window\.reduce\[0\]\.from: is no column of the stream; use one of pulse/,
    ],
    'an interval without a trigger': [
      { window: { ...tumbling, reduce: [{ column: 'x', from: 'pulse', function: 'Interval' }] } },
      /there is no trigger; use windows of type Event/,
    ],
    'steps longer than windows': [
      { window: { ...tumbling, type: 'Sliding', stepMs: 2_000 } },
      /leaves time between/,
    ],
    'steps that are far too short': [
      { window: { ...tumbling, type: 'Sliding', stepMs: 1 } },
      /more than 100 windows/,
    ],
    'a field of another window type': [
      { window: { ...tumbling, gapMs: 5 } },
      /^spec\.window\.gapMs: does not belong to type Tumbling; remove it, or use type Session/,
    ],
    'beats in single records': [
      { window: event },
      /^spec\.window\.trigger\.type: beats are found in samples/,
    ],
    'an empty window': [
      { ...json({ rateHz: 1 }), window: { ...event, trigger: { type: 'RPeak', column: 'pulse' } } },
      /the window is empty/,
    ],
    'windows over a shared subscription': [
      { ...source({ share: 'g' }), window: tumbling },
      /^spec\.source\.share: splits the windows of a key/,
    ],
    'alerts over a shared subscription': [
      { ...source({ share: 'g' }), alerts: [alert] },
      /splits the alerts/,
    ],
    'an alert that is cleared above its level': [
      { alerts: [{ ...alert, below: 1 }] },
      /below: lies over above/,
    ],
    'an alert without the level that raises it': [
      { alerts: [{ ...alert, direction: 'Low' }] },
      /alerts\[0\]\.below: is missing; add what raises an alert of direction Low/,
    ],
    'an alert of no output': [
      { model: { name: 'm' }, alerts: [alert] },
      /^spec\.alerts\[0\]\.output: is missing/,
    ],
    'an alert on a column that is gone from the row': [
      { model: undefined, window: tumbling, alerts: [{ ...alert, output: 'gone' }] },
      /^spec\.alerts\[0\]\.output: "gone" is no column of the row; use one of /,
    ],
    'results that it would read itself': [
      { result: { topic: 'site/x/bed/{bed}/vitals' } },
      /^spec\.result\.topic: is read by the pipeline itself/,
    ],
    'alerts that it would read itself': [
      { alerts: [{ ...alert, topic: 'site/{bed}/bed/9/vitals' }] },
      /^spec\.alerts\[0\]\.topic: is read by the pipeline itself/,
    ],
    'dead letters that it would read itself': [
      { ...source({ topics: ['ward/{bed}/#'] }), deadLetter: { topic: 'ward/{bed}' } },
      /^spec\.deadLetter\.topic: is read by the pipeline itself/,
    ],
    'results that a column with a slash in its name would lead back': [
      {
        ...source({ topics: ['ward/+'] }),
        ...json({ columns: { 'a/b': 'p' } }),
        key: '{a/b}',
        result: { topic: 'ward/{a/b}' },
      },
      /^spec\.result\.topic: is read by the pipeline itself/,
    ],
    'a group in the topic, past which its letters would come back': [
      { ...source({ topics: ['$share/group/site/{bed}'] }), deadLetter: { topic: 'site/dead' } },
      /^spec\.source\.topics\[0\]: \$share is no part of a topic; name the group in source\.share/,
    ],
    'results on a wildcard': [{ result: { topic: 'results/#' } }, /nothing can be published on a wildcard/],
    'dead letters by a column, which they have not': [
      { deadLetter: { topic: 'dead/{pulse}' } },
      /^spec\.deadLetter\.topic: "pulse" is not known/,
    ],
  };
  for (const [name, [changes, text]] of Object.entries(BAD))
    it(`refuses ${name}`, () => {
      assert.throws(
        () => parseStreamPipeline(pipelineDocument(changes as Record<string, unknown>)),
        refusal('DOCUMENT_INVALID', text),
      );
    });
});

describe('templates', () => {
  const level = fc.constantFrom('a', 'b', '+', '{x}');
  const template = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([levels, rest]) =>
      levels.map((text, at) => (text === '{x}' ? `{x${String(at)}}` : text)).concat(rest ? '#' : []),
    );
  const parsed = template.map((levels): readonly TopicLevel[] => {
    const result = parseTopicTemplate(levels.join('/'));
    assert.ok(typeof result !== 'string');
    return result;
  });
  const topics = ['a', 'b', 'a/a', 'a/b', 'b/a', 'b/b', 'a/a/a', 'a/b/a', 'b/b/b', 'a/a/a/a/a', 'b/a/b/a/b'];

  /** Whether a filter matches a topic, written anew from MQTT 5.0, 4.7.1. */
  function matches(filter: string, topic: string): boolean {
    const pattern = filter.replace(/\/#$/, '(/.*)?').replace(/^#$/, '.*').replace(/\+/g, '[^/]*');
    return new RegExp(`^${pattern}$`).test(topic);
  }

  it('overlap where one topic is matched by both', () => {
    fc.assert(
      fc.property(parsed, parsed, (a, b) => {
        if (topics.some((topic) => matches(topicFilter(a), topic) && matches(topicFilter(b), topic)))
          assert.ok(topicsOverlap(a, b));
        assert.equal(topicsOverlap(a, b), topicsOverlap(b, a));
      }),
    );
    const of = (text: string): readonly TopicLevel[] => parseTopicTemplate(text) as readonly TopicLevel[];
    assert.equal(topicsOverlap(of('a/b'), of('a/{x}/c')), false);
    assert.equal(topicsOverlap(of('a/b'), of('a/c')), false);
    assert.equal(topicsOverlap(of('a'), of('a/#')), true);
  });

  it('never throw', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseTopicTemplate(text);
        parseTextTemplate(text);
      }),
    );
  });
});
