import assert from 'node:assert/strict';

import {
  compileAlerts,
  INITIAL_ALERTS,
  type AlertEffect,
  type AlertState,
} from '@tributary/edge-agent/internal/domain/streams/alerts.js';
import fc from 'fast-check';

import { pipeline } from '../../support/stream-pipeline.js';

const { alerts, model } = pipeline({
  alerts: [{ name: 'sepsis', above: 0.8, below: 0.5, holdMs: 1_000, topic: 'alerts/{bed}' }],
}).spec;
const judge = compileAlerts('vitals', alerts, model?.output);

type Point = readonly [timeMs: number, value: number];

function run(points: readonly Point[], start: AlertState = INITIAL_ALERTS): readonly AlertEffect[] {
  let state = start;
  return points.flatMap(([timeMs, bad]) => {
    const step = judge('7', state, { timeMs, outputs: { bad } });
    state = step.state;
    return step.effects;
  });
}

const told = (points: readonly Point[]): readonly string[] =>
  run(points).map(({ type, timeMs }) => `${type} ${String(timeMs)}`);

describe('alerts', () => {
  const CASES: Readonly<Record<string, readonly [points: readonly Point[], told: readonly string[]]>> = {
    'are raised once outputs have been high for long enough': [
      [
        [0, 0.9],
        [500, 0.9],
        [1_000, 0.8],
        [1_500, 0.9],
      ],
      ['Raised 1000'],
    ],
    'begin to wait anew after an output that is not high': [
      [
        [0, 0.9],
        [500, 0.7],
        [1_000, 0.9],
        [1_999, 0.9],
      ],
      [],
    ],
    'stay between the two levels, and are cleared under the lower': [
      [
        [0, 0.9],
        [1_000, 0.9],
        [2_000, 0.5],
        [3_000, 0.79],
        [4_000, 0.49],
        [5_000, 0.4],
      ],
      ['Raised 1000', 'Cleared 4000'],
    ],
    'hear nothing from the past': [
      [
        [0, 0.9],
        [1_000, 0.9],
        [500, 0.1],
      ],
      ['Raised 1000'],
    ],
    'hear nothing from outputs that are no numbers': [
      [
        [0, 0.9],
        [500, NaN],
        [1_000, 0.9],
      ],
      ['Raised 1000'],
    ],
  };
  for (const [name, [points, expected]] of Object.entries(CASES))
    it(name, () => {
      assert.deepEqual(told(points), expected);
    });

  it('of one episode share an id, and those of another have another', () => {
    const episode: readonly Point[] = [
      [0, 0.9],
      [1_000, 0.9],
      [2_000, 0.1],
    ];
    const again = episode.map(([ms, value]): Point => [ms + 10_000, value]);
    const ids = run([...episode, ...again]).map(({ id }) => id);
    assert.equal(ids.length, 4);
    assert.equal(ids[0], ids[1]);
    assert.equal(ids[2], ids[3]);
    assert.notEqual(ids[0], ids[2]);
  });

  const points = fc.array(fc.tuple(fc.nat({ max: 400 }), fc.double({ min: 0, max: 1, noNaN: true })), {
    maxLength: 60,
  });
  const timed = points.map((list) => {
    let timeMs = 0;
    return list.map(([step, value]): Point => [(timeMs += step), value]);
  });

  it('are raised and cleared in turn, and say the same when everything is heard twice or the state is read again', () => {
    fc.assert(
      fc.property(timed, (list) => {
        const effects = run(list);
        effects.forEach(({ type }, index) => {
          assert.equal(type, index % 2 === 0 ? 'Raised' : 'Cleared');
        });
        let state = INITIAL_ALERTS;
        const doubled = list.flatMap(([timeMs, bad]) =>
          [0, 1].flatMap(() => {
            const step = judge('7', JSON.parse(JSON.stringify(state)) as AlertState, {
              timeMs,
              outputs: { bad },
            });
            state = step.state;
            return step.effects;
          }),
        );
        assert.deepEqual(doubled, effects);
      }),
    );
  });

  it('of direction Low are raised by outputs that fall, and cleared over the upper level', () => {
    const { alerts: low } = pipeline({
      alerts: [{ name: 'desaturation', direction: 'Low', below: 88, above: 92, topic: 'alerts/{bed}' }],
    }).spec;
    const falls = compileAlerts('vitals', low, model?.output);
    let state = INITIAL_ALERTS;
    const changes = [95, 90, 88, 80, 91, 92, 92.5, 88.1].map((bad, timeMs) => {
      const step = falls('7', state, { timeMs, outputs: { bad } });
      state = step.state;
      return step.effects.map(({ type }) => type).join();
    });
    assert.deepEqual(changes, ['', '', 'Raised', '', '', '', 'Cleared', '']);
  });
});
