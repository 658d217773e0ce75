import assert from 'node:assert/strict';

import { heartRateOf, minutesOf } from '../../demo/hospital/beat-summary.js';
import { BedResults } from '../../demo/hospital/bed-results.js';
import { BedView } from '../../demo/hospital/bed-view.js';
import { alarmsOf } from '../../demo/hospital/tachycardia.js';
import { pipelineAt } from '../../demo/replay/planned-pipeline.js';

const SECOND = 1_000;

/** What the hospital demo makes of beats, by figures that can be counted by hand. */
describe('the bed of the demo hospital', () => {
  const beat = (second: number, intervalMs: number | null) => ({ timeMs: second * SECOND, intervalMs });

  it('has a heart rate by the mean interval, and the beats of each minute', () => {
    const beats = [beat(1, null), beat(2, 1_000), beat(2.5, 500), beat(61, 750)];
    assert.equal(heartRateOf(beats), 80);
    assert.deepEqual(
      minutesOf(beats, 0).map(({ beats: count, heartRate }) => [count, heartRate]),
      [
        [3, 80],
        [1, 80],
      ],
    );
    assert.ok(Number.isNaN(heartRateOf([beat(1, null)])));
  });

  it('says each minute once, when the next has begun or the record is over', () => {
    const said: string[] = [];
    const view = new BedView('7', 0, (line) => said.push(line));
    const beats = [beat(1, null), beat(2, 1_000), beat(61, 500)];
    view.beats(beats.slice(0, 2));
    assert.deepEqual(said, []);
    view.beats(beats);
    view.beats(beats, true);
    assert.deepEqual(said, [
      'bed 7  minute 1: 2 beats, heart rate 60',
      'bed 7  minute 2: 1 beats, heart rate 120',
    ]);
  });

  it('raises the alarm at 28 beats and clears it under 26, not between', async () => {
    const { document } = await pipelineAt('test/demo/hospital/heart-rate.yaml');
    const [alert] = document.spec.alerts;
    assert.ok(alert);
    const windows = [27, 28, 27, 26, 25, 27, 30].map((beats, index) => ({
      decisionId: String(index),
      window: { startMs: 0, endMs: index * SECOND },
      row: { beats },
      payload: new Uint8Array(),
    }));
    assert.deepEqual(
      alarmsOf(alert, windows).map(({ type, timeMs, value }) => [type, timeMs, value]),
      [
        ['Raised', 1_000, 28],
        ['Cleared', 4_000, 25],
        ['Raised', 6_000, 30],
      ],
    );
  });

  it('counts windows that are missing, that are not of its samples, and repeated ones once', async () => {
    const results = new BedResults(await pipelineAt('test/demo/hospital/beats.yaml'), '7');
    assert.equal(results.topic, 'bed/7/beat');
    const message = (decisionId: string, peak: number) => ({
      topic: results.topic,
      payload: Buffer.from(JSON.stringify({ decisionId, window: { startMs: 0, endMs: 1 }, row: { peak } })),
      qos: 1 as const,
      retain: false,
      properties: {},
      arrivalMs: 0,
      redelivered: false,
      acknowledge: () => undefined,
    });
    assert.ok(results.take(message('a', 1)));
    assert.equal(results.take(message('a', 1)), undefined);
    assert.ok(results.take(message('b', 2)));
    assert.ok(results.take(message('c', 3)));
    const expected = new Map(
      [
        ['a', 1],
        ['b', 5],
        ['d', 4],
      ].map(([id, peak]) => [String(id), { row: { peak: Number(peak) }, message: 0 }]),
    );
    assert.deepEqual(results.compare(expected), { lost: 1, wrong: 2 });
  });
});
