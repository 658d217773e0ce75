import assert from 'node:assert/strict';

import fc from 'fast-check';

import { Power, PowerOff } from '../../support/power.js';
import { propertyRuns } from '../../support/property-runs.js';
import { STAGES, type SecureSite, type Stage } from '../../support/secure-site.js';
import { SecureWorld } from '../../support/secure-world.js';

/** n=4: t=3, one colluder, one dropout. */
const SITES = 4;

/** A site dies at that change of its store, which is kept or not. */
interface Death {
  readonly site: number;
  readonly change: number;
  readonly kept: boolean;
}

interface Trial {
  /** Changes of a store, of any kind, that each process of the coordinator lives to see. */
  readonly coordinator: readonly number[];
  readonly deaths: readonly Death[];
  /** Orders that come again, behind others, by their number at the site. */
  readonly repeats: readonly { readonly site: number; readonly order: number }[];
  readonly leaves: { readonly site: number; readonly stage: Stage } | undefined;
}

const site = fc.nat(SITES - 1);
const trial: fc.Arbitrary<Trial> = fc.record({
  coordinator: fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 3 }),
  deaths: fc.array(fc.record({ site, change: fc.integer({ min: 1, max: 25 }), kept: fc.boolean() }), {
    maxLength: 6,
  }),
  repeats: fc.array(fc.record({ site, order: fc.integer({ min: 1, max: 8 }) }), { maxLength: 4 }),
  leaves: fc.option(fc.record({ site, stage: fc.constantFrom(...STAGES) }), { nil: undefined }),
});

/** Called at each change: `kept` of the death that comes with it. */
function dies(one: SecureSite, deaths: readonly Death[]): void {
  const put = one.store.put.bind(one.store);
  let changes = 0;
  one.store.put = async (change) => {
    changes += 1;
    const death = deaths.find((each) => each.change === changes);
    if (death?.kept !== false) await put(change);
    if (death !== undefined) throw new PowerOff();
  };
}

/** Of an attempt that is over nothing is repeated: a site has forgotten it, and would begin it with fresh keys. */
function repeats(secure: SecureWorld, one: SecureSite, numbers: ReadonlySet<number>): void {
  const { heard } = one.agent;
  type Heard = { readonly order: Parameters<typeof heard>[0]; readonly attempt: number };
  let [count, before] = [0, undefined as Heard | undefined];
  one.agent.heard = (order) => {
    const { round } = secure.job;
    const attempt = round?.phase === 'Open' ? round.attempt : undefined;
    count += 1;
    heard(order);
    if (numbers.has(count) && attempt !== undefined) {
      if (before?.attempt === attempt) heard(before.order);
      heard(order);
    }
    before = attempt === undefined ? undefined : { order, attempt };
  };
}

const isOver = ({ job }: SecureWorld): boolean => job.phase === 'Complete' || job.phase === 'Failed';

async function play(one: Trial): Promise<SecureWorld> {
  const [first = 0, ...later] = one.coordinator;
  let power = new Power(first);
  const secure = await SecureWorld.begin(SITES, { rounds: 1 }, power);
  for (const [index, member] of [...secure.sites.values()].entries()) {
    dies(
      member,
      one.deaths.filter((death) => death.site === index),
    );
    repeats(
      secure,
      member,
      new Set(one.repeats.filter((each) => each.site === index).map(({ order }) => order)),
    );
  }
  if (one.leaves !== undefined) secure.site(one.leaves.site).silent.set('1.0', one.leaves.stage);
  for (;;) {
    await secure
      .until('the end, or a power failure', () => power.off || isOver(secure) || undefined)
      .catch((error: unknown) => {
        if (!power.off) throw error;
      });
    if (!power.off) return secure;
    power = new Power(later.shift() ?? 0);
    await secure.crash(power);
  }
}

/** What no site may have drawn, or been shown, twice. */
async function check(secure: SecureWorld): Promise<void> {
  const keys: string[] = [];
  const shown = new Map<string, Uint8Array>();
  for (const [name, member] of secure.sites) {
    assert.deepEqual(member.contradictions, [], `${name} said, or was shown, two things`);
    for (const [of, { stage, payload }] of member.said) {
      if (stage !== 'advertise') continue;
      const { maskKey, sealKey } = JSON.parse(Buffer.from(payload).toString()) as Record<string, string>;
      assert.ok(maskKey !== undefined && sealKey !== undefined, of);
      keys.push(maskKey, sealKey);
    }
    for (const [of, set] of member.shown) {
      assert.deepEqual(set, shown.get(of) ?? set, `${name} was shown another set of ${of}`);
      shown.set(of, set);
    }
  }
  assert.equal(new Set(keys).size, keys.length, 'a key was drawn twice');
  const committed = await secure.world.entries('round.committed');
  assert.ok(committed.length <= 1);
  const [sum] = committed;
  if (sum === undefined) return;
  const { round, attempt } = sum.body;
  assert.equal(sum.body.modelDigest, secure.plainModel(`${String(round)}.${String(attempt)}`));
}

describe('secure rounds in which anybody dies at any change of a store, and orders come again', function () {
  this.timeout(300_000);

  it('make the sum of the accepted set or end their attempt; nobody draws, says or is shown two things', async () => {
    const ends = { Complete: 0, Failed: 0 };
    await fc.assert(
      fc.asyncProperty(trial, async (one) => {
        const secure = await play(one);
        await check(secure);
        ends[secure.job.phase === 'Complete' ? 'Complete' : 'Failed'] += 1;
        await secure.world.training.stop();
      }),
      { numRuns: propertyRuns(12), endOnFailure: true },
    );
    assert.ok(ends.Complete > 0, JSON.stringify(ends));
  });
});
