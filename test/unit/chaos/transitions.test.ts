import assert from 'node:assert/strict';

import { entryKinds, fileKind, isPassing, keyKinds, kindOf } from '../../chaos/inside/call-names.js';
import { ANY, parseTargets, targetText } from '../../chaos/inside/targets.js';
import { distinctTargets, everyTarget, namesOf, type Batch } from '../../chaos/kinds/transitions.js';
import { SeededRandom } from '../../support/seeded-random.js';

const RUNS = [
  { job: 'plain', calls: ['a@start', 'b@start', 'a@start', 'c@round'] },
  { job: 'secure', calls: ['a@start', 'd@round', 'a@start', 'a@start'] },
] as const;

const textsOf = (batches: readonly Batch[]): readonly string[] =>
  batches.flatMap(({ job, targets }) => targets.map((target) => `${job} ${targetText(target)}`));

describe('the transitions at which the chaos suite kills', () => {
  it('are named alike in every run', () => {
    const id = `upl-${'0a'.repeat(16)}`;
    assert.equal(fileKind(`/tmp/x-1/coordinator/blobs/a0/${'ab'.repeat(32)}`), 'shard/#');
    assert.equal(fileKind('/tmp/x-1/coordinator/blobs/ff'), 'blobs/shard');
    assert.equal(fileKind(`/tmp/x-2/north/data/outbox/${id}.delta`), 'outbox/#.delta');
    assert.equal(kindOf(`stage.${id}.2.1.share.west`), 'stage.#.#.#.share.#');
    assert.equal(kindOf('a:b,c d~e*'), 'a_b_c_d_e_');
    assert.equal(keyKinds([]), undefined);
    assert.equal(keyKinds([['egress', 1]]), 'egress');
    // What comes along by chance makes no other transition.
    const together = ['\0tally', 'egress', 'outbox/1', 'outbox/2'].map((key) => [key, 1] as const);
    assert.equal(keyKinds([...together, ['secure/1', undefined]]), '-secure+outbox');
    const entry = { type: 'stage.closed', body: { stage: 'share' } };
    assert.equal(entryKinds([Buffer.from(JSON.stringify(entry))]), 'stage.closed.share');
    assert.ok(isPassing('FileKeyVault.delete', 'round.#') && !isPassing('FileKeyVault.put', 'round.#'));
  });

  it('are each taken once before and once after, at one of the repeats that the seed chooses', () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const batches = distinctTargets(RUNS, new SeededRandom(seed), 3);
      assert.ok(batches.every(({ targets }) => targets.length >= 1 && targets.length <= 3));
      const names = batches.flatMap(({ targets }) => targets.map(({ side, name }) => `${side} ${name}`));
      const wanted = namesOf(RUNS).flatMap((name) => [`before ${name}`, `after ${name}`]);
      assert.deepEqual(names.toSorted(), wanted.toSorted());
      for (const text of textsOf(batches)) seen.add(text);
    }
    // Both jobs, and all of the repeats in them.
    const all = textsOf(everyTarget(RUNS, 3));
    assert.equal(all.length, 16);
    assert.deepEqual([...seen].sort(), all.toSorted());
  });

  it('are spread over the run within a case', () => {
    const calls = Array.from({ length: 8 }, (_value, index) => `call-${String(index)}`);
    const [first] = everyTarget([{ job: 'plain', calls }], 4);
    assert.deepEqual(
      first?.targets.map(({ name }) => name),
      ['call-0', 'call-2', 'call-4', 'call-6'],
    );
  });

  it('can be written and read', () => {
    const [target] = everyTarget(RUNS, 1)[0]?.targets ?? [];
    assert.ok(target);
    assert.deepEqual(parseTargets(`${targetText(target)},after:3:${ANY}`), [
      { side: target.side, which: target.which, name: target.name },
      { side: 'after', which: 3, name: ANY },
    ]);
    for (const text of ['during:1:a', 'before:0:a', 'before:x:a', 'before:1:', 'a'])
      assert.throws(() => parseTargets(text), /is no call to end at/);
  });
});
