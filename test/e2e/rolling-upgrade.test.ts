import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { SOFTWARE_VERSION } from '@tributary/proto';

import { LocalFederation } from '../support/federation.js';
import { field, listAt } from '../support/kube/field.js';
import { auditLedger, entriesOf } from '../support/ledger-audit.js';
import { Operator } from '../support/operator.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { presentRelease, previousRelease, type Release } from '../support/previous-release.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

/** TRIBUTARY_UPGRADE_SITES=15 is what a release is held against; four take a minute less. */
const COUNT = Number(process.env['TRIBUTARY_UPGRADE_SITES'] ?? '4');
const SITES = Array.from({ length: COUNT }, (_, index) => `site-${String(index + 1).padStart(2, '0')}`);
/** Every upgrade, and the way back and there of one site, costs a round or two: all sites belong to each of them. */
const ROUNDS = 2 * COUNT + 10;
/** The last upgrade is killed so many milliseconds after it has opened the data of the older build, each time anew. */
const KILLED_AFTER_MS = [0, 15, 60] as const;
const DEADLINE_SECONDS = 120;
/** After so many sites the coordinator is upgraded: newer agents meet an older one before, older ones a newer one after. */
const BEFORE_HUB = Math.floor(COUNT / 3);
const WAIT_MS = 120_000;

/** Goes back to the older build in the middle of the job, and comes again. */
const rolledBack = SITES[0] ?? '';
const killed = SITES.at(-1) ?? '';

const old = previousRelease();
const present = presentRelease(SOFTWARE_VERSION);

/** When a site was stopped for its upgrade, and when the new build of it had taken part in a round: the newest round by then. */
interface Upgrade {
  readonly name: string;
  readonly stoppedAt: number;
  readonly backAt: number;
}

describe(`rolling upgrade of ${String(COUNT)} sites and their coordinator during a job, from ${old.what}`, function () {
  this.timeout(600_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  const upgrades: Upgrade[] = [];

  before(async () => {
    directory = await temporaryDirectory();
    const parts = { script: old.programs.coordinator, env: old.env };
    federation = await LocalFederation.start(join(directory.path, 'hub'), 'valley', '127.0.0.1', parts);
    federation.programs = old.programs;
    federation.coordinatorParts = parts;
    // Two at a time: each is three commands.
    for (let index = 0; index < COUNT; index += 2)
      await Promise.all(
        SITES.slice(index, index + 2).map((name, offset) =>
          federation.addSite({
            ...{ name, csv: pointsOf(index + offset + 1, 80).csv, dataset: 'points' },
            ...{ script: old.programs.agent, env: old.env },
          }),
        ),
      );
    operator = await Operator.of(federation);
  });

  after(async function () {
    (operator as Operator | undefined)?.close();
    await (federation as LocalFederation | undefined)?.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  /** The newest committed round; undefined while the coordinator is away. */
  const committed = async (): Promise<number | undefined> => {
    const events = await operator.events('FederatedJob', 'points').catch(() => undefined);
    const rounds = events?.filter(({ type }) => type === 'round.committed');
    return rounds === undefined ? undefined : Math.max(0, ...rounds.map(({ body }) => Number(body['round'])));
  };
  const newest = (): Promise<number> => eventually('the events of the job', committed, WAIT_MS);
  const beyond = (round: number, what: string): Promise<number> =>
    eventually(
      what,
      async () => {
        const now = await committed();
        return now !== undefined && now > round ? now : undefined;
      },
      WAIT_MS,
      100,
    );
  /** Waits until all agents are connected, and are of one release. */
  const allOf = (release: Release): Promise<true> =>
    eventually(
      `${String(COUNT)} agents of ${release.version}`,
      async () => {
        const sites = JSON.parse(await federation.cliText('get', 'sites', '-o', 'json')) as unknown;
        const versions = listAt(sites, 'items').map((site) => field(site, 'status', 'agentVersion'));
        const wanted = `tributary-agent/${release.version}`;
        return (versions.length === COUNT && versions.every((found) => found === wanted)) || undefined;
      },
      WAIT_MS,
      500,
    );

  /** Stopped as a pod is, in the middle of a round, and started by the other build on the same directory. */
  async function moveSite(
    name: string,
    { programs, env }: Release,
    kills: readonly number[] = [],
  ): Promise<Upgrade> {
    const stoppedAt = await newest();
    const exit = await federation.agents.get(name)?.stop();
    assert.deepEqual(exit, { code: 0, signal: null }, name);
    const launch = { script: programs.agent, env };
    for (const afterMs of kills) await killStart(name, launch, afterMs);
    federation.startAgent(name, launch);
    return { name, stoppedAt, backAt: await beyond(await newest(), `a round with ${name}`) };
  }

  /** Killed in the middle of its start: each opening of the state names another list of its tables. */
  async function killStart(name: string, launch: Pick<Release, 'env'> & { script: string }, afterMs: number) {
    const current = join(federation.folder, 'sites', name, 'data/state/CURRENT');
    const before = await readFile(current, 'utf8');
    federation.startAgent(name, launch);
    const isOpened = async (): Promise<true | undefined> =>
      (await readFile(current, 'utf8').catch(() => before)) !== before || undefined;
    await eventually('the state to be opened', isOpened, WAIT_MS, 1);
    await pause(afterMs);
    const exit = await federation.agents.get(name)?.stop('SIGKILL');
    assert.equal(exit?.signal, 'SIGKILL', name);
  }

  async function upgradeCoordinator({ programs, env }: Release): Promise<void> {
    assert.deepEqual(await federation.coordinator.stop(), { code: 0, signal: null });
    federation.coordinatorParts = { script: programs.coordinator, env };
    federation.programs = programs;
    await federation.serve();
    await beyond(await newest(), 'a round of the new coordinator');
  }

  it('goes on, site by site, with old and new in one cohort, one site back and there again, one killed as it starts', async () => {
    await allOf(old);
    await federation.apply(
      pointsJob('points', {
        rounds: ROUNDS,
        minSites: COUNT,
        roundDeadlineSeconds: DEADLINE_SECONDS,
      }),
    );
    await beyond(0, 'the first round');
    for (const [index, name] of SITES.entries()) {
      if (index === BEFORE_HUB) await upgradeCoordinator(present);
      upgrades.push(await moveSite(name, present, name === killed ? KILLED_AFTER_MS : []));
      if (name !== rolledBack) continue;
      await moveSite(name, old);
      upgrades.splice(-1, 1, await moveSite(name, present));
    }
    await allOf(present);
    assert.ok(
      upgrades.every(({ backAt }) => backAt <= ROUNDS),
      'the job ended before the last upgrade',
    );
  });

  it('loses no round and no site: all rounds are there, each within its deadline, with everybody in it', async () => {
    await federation.cliText('wait', '--for=condition=Complete', 'fj/points', '--timeout', '300s');
    const { entries } = await auditLedger(federation);
    assert.deepEqual(entriesOf(entries, 'round.failed'), []);
    assert.deepEqual(entriesOf(entries, 'site.declined'), []);
    assert.deepEqual(entriesOf(entries, 'update.refused'), []);
    const rounds = entriesOf(entries, 'round.committed');
    assert.deepEqual(
      rounds.map(({ body }) => [body.round, body.attempt]),
      Array.from({ length: rounds.length }, (_, index) => [index + 1, 0]),
    );
    // The last one measures the final model.
    assert.equal(rounds.length, ROUNDS + 1);
    for (const { body, time } of rounds) {
      assert.deepEqual([...body.reporting].sort(), SITES, `round ${String(body.round)}`);
      const opened = entriesOf(entries, 'round.opened').find((entry) => entry.body.round === body.round);
      const seconds = (Date.parse(time) - Date.parse(opened?.time ?? '')) / 1_000;
      assert.ok(seconds < DEADLINE_SECONDS, `round ${String(body.round)} took ${String(seconds)} s`);
    }
    const mixed = rounds.filter(({ body }) => {
      const isNew = upgrades.filter(({ backAt }) => backAt <= body.round).length;
      const isOld = upgrades.filter(({ stoppedAt }) => stoppedAt >= body.round).length;
      return isNew > 0 && isOld > 0;
    });
    assert.ok(mixed.length >= COUNT - 1, `${String(mixed.length)} rounds with old and new sites`);
    const started = entriesOf(entries, 'agent.started');
    for (const name of SITES.filter((site) => site !== killed)) {
      const starts = started.filter(({ body }) => body.site === name).length;
      assert.equal(starts, name === rolledBack ? 4 : 2, `starts of ${name}`);
    }
    const seconds = rounds.map(({ time, body }) => {
      const opened = entriesOf(entries, 'round.opened').find((entry) => entry.body.round === body.round);
      return (Date.parse(time) - Date.parse(opened?.time ?? '')) / 1_000;
    });
    console.log(
      `      ${String(rounds.length)} rounds of ${String(COUNT)} sites, ${String(mixed.length)} of them mixed, longest ${String(Math.max(...seconds))} s, ${String(entries.length)} entries`,
    );
  });
});
