import assert from 'node:assert/strict';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';

import fc from 'fast-check';

import { message, pipeline, play } from '../../support/stream-pipeline.js';
import { StreamWorld } from '../../support/stream-engine.js';
import { eventually } from '../../support/waiting.js';

const T = 1_700_000_000_000;
const BASE = {
  payload: { type: 'Json', columns: { pulse: 'pulse' }, time: { type: 'Path', path: 't' }, id: 'id' },
  result: { topic: 'out/{bed}/result' },
  batch: { maximumRows: 4, budgetMs: 1 },
};
const reduce = [
  { column: 'pulse', from: 'pulse', function: 'Mean' },
  { column: 'points', from: 'pulse', function: 'Count' },
];
const PIPELINES = {
  record: BASE,
  tumbling: { ...BASE, window: { type: 'Tumbling', sizeMs: 100, latenessMs: 1_000_000, reduce } },
  sliding: { ...BASE, window: { type: 'Sliding', sizeMs: 100, stepMs: 50, latenessMs: 1_000_000, reduce } },
  session: { ...BASE, window: { type: 'Session', gapMs: 60, maximumMs: 300, latenessMs: 1_000_000, reduce } },
};

/** What happens, in order; messages of a run are numbered in the order in which they are sent. */
const happening = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('send' as const), bed: fc.nat(2), gapMs: fc.nat(120) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('again' as const), back: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'crash' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reconnect' as const }) },
);

interface SentRecord {
  readonly bed: number;
  readonly id: number;
  readonly t: number;
  readonly pulse: number;
}

type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

const send = (world: StreamWorld, { bed, ...body }: SentRecord): Promise<void> =>
  world.send(body, { bed: String(bed) });

async function happen(one: Happening, world: StreamWorld, sent: SentRecord[]): Promise<void> {
  switch (one.kind) {
    case 'send': {
      const id = sent.length;
      const record = { bed: one.bed, id, t: (sent.at(-1)?.t ?? T) + one.gapMs, pulse: (id * 7) % 50 };
      sent.push(record);
      return send(world, record);
    }
    case 'again': {
      const record = sent.at(-one.back);
      return record === undefined ? undefined : send(world, record);
    }
    case 'turns':
      for (let count = 0; count < one.count; count++) await turn();
      return;
    case 'wait':
      await sleep(one.ms);
      return;
    case 'reconnect':
      world.broker.leave();
      world.broker.comeBack();
      return;
    case 'crash':
      world.kill();
      return world.start();
    case 'restart':
      await world.close();
      return world.start();
  }
}

/** Closes the windows of every bed: long after everything else. */
const last = (bed: number, id: number): SentRecord => ({ bed, id, t: T + 10_000_000, pulse: 1 });

describe('stream engine, whatever happens', function () {
  this.timeout(120_000);

  for (const [name, spec] of Object.entries(PIPELINES)) {
    it(`${name}: crashes, restarts and redelivery give each decision of an uninterrupted run, and no other`, () =>
      fc.assert(
        fc.asyncProperty(fc.array(happening, { minLength: 5, maxLength: 40 }), async (happenings) => {
          const world = new StreamWorld(pipeline(spec));
          await world.open();
          await world.start();
          const sent: SentRecord[] = [];
          try {
            for (const one of happenings) await happen(one, world, sent);
            for (const bed of [0, 1, 2]) {
              const record = last(bed, sent.length);
              sent.push(record);
              await send(world, record);
            }
            const wanted = new Map(
              play(
                world.pipeline,
                sent.map(({ bed, ...body }) =>
                  message(body, {
                    topic: `site/a/bed/${String(bed)}/vitals`,
                    arrivalMs: Date.now() + 20_000_000,
                  }),
                ),
                { flush: false },
              ).decisions.map(({ id, row }) => [id, row['pulse']]),
            );
            await eventually(
              'everything to be acknowledged',
              () => (world.broker.unsettled('pipeline') === 0 ? true : undefined),
              5_000,
            );
            await turn();
            await turn();
            const got = new Map(world.received.map(({ body }) => [body['decisionId'], body['score']]));
            assert.deepEqual(new Set(got.keys()), new Set(wanted.keys()));
            for (const [id, pulse] of wanted) assert.equal(got.get(id), Math.fround(Number(pulse)));
          } finally {
            await world.close();
          }
        }),
        { numRuns: 60 },
      ));
  }
});
