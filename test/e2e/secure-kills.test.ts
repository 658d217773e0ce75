import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { bytesToFloat32, type FederatedJobInput, type LedgerEntry } from '@tributary/proto';

import { LocalFederation } from '../support/federation.js';
import { KeptFiles } from '../support/kept-files.js';
import { auditLedger, entriesOf } from '../support/ledger-audit.js';
import { Operator } from '../support/operator.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { SeededRandom } from '../support/seeded-random.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';
import { killedFile, type Kill } from './kills/kill-plan.js';
import { spooledUpdates } from './kills/spooled-updates.js';
import { openedSecrets, roundSecrets } from './leak/evidence.js';
import { SiteRecords, type TrueUpdate } from './leak/site-records.js';
import { unevenness } from './leak/statistics.js';

const SITES = ['basel', 'delft', 'lund', 'turin'];
const STAGES = ['advertise', 'share', 'mask', 'agree', 'unmask'];
const POINTS = ['before', 'durable', 'told'] as const;
const VICTIMS = ['agent', 'coordinator', 'both'] as const;
/** Set to `all`: every victim at every point, in a quarter of an hour. Otherwise a number chooses one for each. */
const CHOICE = process.env['TRIBUTARY_KILLS'] ?? '1';
const UNEVEN = 6;

interface Case extends Kill {
  /** The agent that comes to the point first, the coordinator, or both: it dies with the agent. */
  readonly victim: (typeof VICTIMS)[number];
}

function casesOf(choice: string): readonly Case[] {
  const random = new SeededRandom(choice === 'all' ? 1 : Number(choice));
  const victims = choice === 'all' ? VICTIMS.map((victim) => [victim]) : [VICTIMS];
  return victims
    .flatMap((one) =>
      STAGES.flatMap((stage) => POINTS.map((point) => ({ stage, point, victim: random.pick(one) }))),
    )
    .map((one, index) => ({ ...one, round: index + 1 }));
}

const CASES = casesOf(CHOICE);

/** Deltas of more than 4,096 words: enough for statistics of their bytes. */
function killedJob(): FederatedJobInput {
  const base = pointsJob('killed', {
    minSites: 3,
    rounds: CASES.length,
    roundDeadlineSeconds: 90,
    privacy: {},
  });
  const layers = [
    { type: 'Dense', units: 64, activation: 'Tanh' },
    { type: 'Dense', units: 64, activation: 'Tanh' },
    { type: 'Dense', units: 1, activation: 'Sigmoid' },
  ] as const;
  return { ...base, spec: { ...base.spec, model: { name: 'killed', layers: [...layers], seed: 7 } } };
}

/**
 * One job, in each round of which somebody is killed with SIGKILL: an agent, the coordinator, or one right after the other,
 * in a stage, before its part is durable, right after, and once it was told. Whatever dies is started again.
 */
describe(`secure rounds in which processes are killed, choice ${CHOICE}`, function () {
  this.timeout(CHOICE === 'all' ? 1_800_000 : 400_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  let kept: KeptFiles;
  let entries: readonly LedgerEntry[] = [];
  let updates: readonly TrueUpdate[] = [];
  const records = new Map<string, SiteRecords>();

  const planOf = (name: string): string => join(directory.path, `kills-of-${name}`);
  const plan = async (name: string, kills: readonly Kill[]): Promise<Record<string, string>> => {
    await writeFile(planOf(name), JSON.stringify(kills));
    return { TEST_KILLS: planOf(name) };
  };
  const script = (name: string): string => join(import.meta.dirname, `kills/killed-${name}.js`);

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'clinics');
    operator = await Operator.of(federation);
    await plan(
      'agents',
      CASES.filter(({ victim }) => victim !== 'coordinator'),
    );
    for (const [index, name] of SITES.entries()) {
      records.set(name, await SiteRecords.start(federation, name));
      await federation.joinSite({
        name,
        csv: pointsOf(index + 1, 60 + 20 * index).csv,
        dataset: 'points',
        policy: { retriesPerBase: 3 },
      });
      await federation.cliText('approve', name);
      startAgent(name);
    }
    const folders = ['keys', 'spool', 'blobs'].map((name) => join(federation.data, name));
    kept = await KeptFiles.start(folders, join(directory.path, 'kept'));
    await federation.coordinator.stop();
    const kills = CASES.filter(({ victim }) => victim === 'coordinator');
    federation.coordinatorParts = { script: script('coordinator'), env: await plan('coordinator', kills) };
    await federation.serve();
  });

  after(async function () {
    await kept.stop();
    for (const record of records.values()) await record.stop();
    operator.close();
    await federation.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  const startAgent = (name: string): void => {
    federation.startAgent(name, { script: script('agent'), env: { TEST_KILLS: planOf('agents') } });
  };

  /** Starts whatever is dead again; the coordinator dies with an agent where that is the case. */
  async function keepAlive(): Promise<void> {
    const dead = SITES.filter((name) => federation.agents.get(name)?.running !== true);
    for (const one of CASES.filter(({ victim }) => victim === 'both')) {
      const [agent, coordinator] = [
        killedFile(planOf('agents'), one),
        killedFile(planOf('coordinator'), one),
      ];
      if (!existsSync(agent) || existsSync(coordinator)) continue;
      await federation.coordinator.stop('SIGKILL');
      await writeFile(coordinator, '');
    }
    for (const name of dead) startAgent(name);
    if (!federation.coordinator.running) await federation.serve();
  }

  it('come to their end, each of them', async () => {
    await operator.apply(killedJob());
    const ended = async (): Promise<boolean | undefined> => {
      await keepAlive();
      const events = await operator.events('FederatedJob', 'killed').catch(() => []);
      if (events.some(({ type }) => type === 'job.failed')) throw new Error('the job failed');
      return events.some(({ type }) => type === 'job.completed') || undefined;
    };
    await eventually('the end of the job', ended, CASES.length * 20_000);
    for (const one of CASES) {
      const name = one.victim === 'coordinator' ? 'coordinator' : 'agents';
      assert.ok(existsSync(killedFile(planOf(name), one)), `${name}: ${one.point} ${one.stage}`);
    }
    ({ entries } = await auditLedger(federation));
    updates = (await Promise.all([...records.values()].map((record) => record.updates()))).flat();
    const committed = entriesOf(entries, 'round.committed').map(({ body }) => body.round);
    assert.deepEqual(
      committed,
      Array.from({ length: CASES.length + 1 }, (_, index) => index + 1),
    );
  });

  it('make the model of plain averaging over those whose updates are in the sum, but for the rounding', async () => {
    let trained = 0;
    for (const { body } of entriesOf(entries, 'round.committed')) {
      const opened = entriesOf(entries, 'round.opened').find(
        (entry) => entry.body.round === body.round && entry.body.attempt === body.attempt,
      );
      const folded = updates.filter(({ item }) => body.folded.includes(item.uploadId));
      assert.equal(folded.length, body.folded.length);
      assert.ok(folded.length >= 3);
      if (opened?.body.kind !== undefined) continue;
      trained += 1;
      const [base, model] = [await modelOf(opened?.body.baseDigest ?? ''), await modelOf(body.modelDigest)];
      const worst = largestDifference(base, model, folded);
      // Each rounds by less than a step of clip * n / 2^31; the weights and the model are float32.
      const { clipNorm } = folded[0]?.item ?? { clipNorm: 0 };
      const weight = folded.reduce((sum, { vector, delta }) => sum + (vector[delta.length] ?? 0), 0);
      const most = (folded.length * clipNorm * SITES.length) / 2 ** 31 / weight + 2 ** -22;
      assert.ok(worst < most, `round ${String(body.round)}: off by ${String(worst)} of ${String(most)}`);
    }
    assert.equal(trained, CASES.length);
  });

  it('use no mask twice, and let nobody say two things in one stage', async () => {
    const spooled = await spooledUpdates(kept.files, await roundSecrets(kept.files, federation));
    const wide = spooled.filter(({ words }) => words.length > 4_096);
    assert.ok(wide.length >= 3 * CASES.length, String(wide.length));
    for (const site of SITES) {
      const own = wide.filter(({ header }) => header.site === site);
      for (const [index, { header, words }] of own.entries()) {
        for (const other of own.slice(index + 1)) {
          const between = words.map((word, at) => word - (other.words[at] ?? 0));
          const same = other.header.round === header.round && other.header.attempt === header.attempt;
          // The same masks are for the same update: what was sent in part and again in whole is the same so far.
          if (same) assert.ok(between.every((word) => word === 0));
          else assert.ok(unevenness(between, 3) < UNEVEN, `${site} in ${String(header.round)}`);
        }
      }
    }
    const said = new Map<string, Uint8Array>();
    for (const [name, statement] of await openedSecrets(kept.files, federation)) {
      if (!name.startsWith('stage.')) continue;
      const stage = name.slice(0, name.indexOf(' in '));
      assert.deepEqual(said.get(stage) ?? statement, statement, stage);
      said.set(stage, statement);
    }
    assert.ok(said.size >= 12 * CASES.length, String(said.size));
  });

  async function modelOf(digest: string): Promise<Float32Array> {
    const blob = kept.files.find(({ name }) => digest === `sha256:${name}`);
    assert.ok(blob !== undefined, digest);
    return bytesToFloat32(await readFile(join(blob.folder, blob.name))).slice();
  }
});

/** Of the model from the one before it and the weighted mean of the updates. */
function largestDifference(base: Float32Array, model: Float32Array, folded: readonly TrueUpdate[]): number {
  const weight = folded.reduce((sum, { vector, delta }) => sum + (vector[delta.length] ?? 0), 0);
  return model.reduce((worst, value, index) => {
    const mean = folded.reduce((sum, { vector }) => sum + (vector[index] ?? 0), 0) / weight;
    return Math.max(worst, Math.abs(value - (base[index] ?? 0) - mean));
  }, 0);
}
