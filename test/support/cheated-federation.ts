import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { stageDigest, verifyRoster, type Digest, type ErrorCode, type StageReport } from '@tributary/proto';

import { CheatingCoordinator, type Outcome, type PlayedRound, type Said } from './cheating-coordinator.js';
import { HonestSite, type MaskedUpdate } from './honest-site.js';
import { rootOf, rosterOf, signedBy } from './roster.js';
import { ScriptedLog } from './scripted-log.js';

const SITES = ['basel', 'delft', 'lund', 'turin'];
export const OTHER_BASE: Digest = `sha256:${'6'.repeat(64)}`;
const root = rootOf(1, 'ada');
const members = verifyRoster(root, signedBy(rosterOf(root, SITES), 'ada'), Date.UTC(2026, 1));

/** Four honest sites that pin a root, and a coordinator to be bent. */
export async function cheatedFederation() {
  const log = new ScriptedLog();
  const open = (site: string): Promise<HonestSite> => HonestSite.open(site, log, { roster: members });
  const [basel, delft, lund, turin] = await Promise.all([
    open('basel'),
    open('delft'),
    open('lund'),
    open('turin'),
  ]);
  const coordinator = new CheatingCoordinator(log, [basel, delft, lund, turin]);
  return { coordinator, log, basel, delft, lund, turin };
}

/** Whatever it was told, it can read no update of the round. */
export async function readsNothing(coordinator: CheatingCoordinator, round: PlayedRound): Promise<void> {
  const loot = coordinator.loot(round);
  assert.deepEqual(await loot.readable(), []);
  const [seeds, keys] = [await loot.secrets('seed'), await loot.secrets('key')];
  const both = [...seeds.keys()].filter((agentId) => keys.has(agentId));
  assert.deepEqual(both, [], 'of nobody does it hold both secrets');
}

/** What met each attack of a suite, held against the page that documents it. */
export class Refusals {
  /** Of the attack that is played now. */
  title = '';
  readonly #met = new Map<string, Set<string>>();

  require(outcomes: ReadonlyMap<string, Outcome>, code: ErrorCode): void {
    assert.ok(outcomes.size > 0);
    this.#met.set(this.title, (this.#met.get(this.title) ?? new Set()).add(code));
    for (const [site, outcome] of outcomes) assert.equal(outcome, code, `${site} refuses`);
  }

  /** The table under this heading has each of these tests, in their order, with the codes that were met. */
  async requirePage(heading: string, titles: readonly string[]): Promise<void> {
    const page = new URL('../../../edge-agent/SECURE-AGGREGATION.md', import.meta.url);
    const section = (await readFile(page, 'utf8')).split(`### ${heading}\n`)[1]?.split('\n#')[0] ?? '';
    const lines = section.split('\n').filter((line) => line.startsWith('|'));
    const rows = lines.slice(2).map((line) => line.split('|').map((cell) => cell.trim()));
    assert.deepEqual(
      rows.map(([, , , test]) => test),
      titles,
    );
    for (const [, , refusals = '', test = ''] of rows)
      assert.deepEqual(
        new Set(refusals.match(/[A-Z]+_[A-Z_]+/gu) ?? []),
        this.#met.get(test) ?? new Set(),
        test,
      );
  }
}

/** The survivor set of everybody but one site. */
export function without(coordinator: CheatingCoordinator, round: PlayedRound, site: HonestSite): Uint8Array {
  const all = round.updates.map(({ agentId }) => agentId);
  return coordinator.survivors(
    round,
    all.filter((agentId) => agentId !== site.agentId),
  );
}

/** What the ledger says of it. */
export const reportsWithout = (
  coordinator: CheatingCoordinator,
  round: PlayedRound,
  site: HonestSite,
): readonly StageReport[] => coordinator.reports(round, 'mask').filter((report) => report.site !== site.site);

export const reportsOf = (round: PlayedRound, said: readonly Said[]): readonly StageReport[] =>
  said.map(({ agentId, payload }) => ({
    site: round.sites.find((site) => site.agentId === agentId)?.site ?? '',
    digest: stageDigest(payload),
  }));

export const saidBy = ({ said }: PlayedRound, { agentId }: HonestSite, stage: string): readonly Said[] =>
  said.filter((one) => one.agentId === agentId && one.stage === stage);

/** All that left with a message, in hex. */
export const bytesOf = ({ payload, signature, attachments }: Said): string =>
  [payload, signature, ...attachments.values()].map((part) => Buffer.from(part).toString('hex')).join();

export function plainSum(updates: readonly MaskedUpdate[]): Uint32Array {
  const sum = new Uint32Array(updates[0]?.plain.length ?? 0);
  for (const { plain } of updates) plain.forEach((word, index) => (sum[index] = (sum[index] ?? 0) + word));
  return sum;
}

/** Another history from here on. */
export function forkOf(history: ScriptedLog): ScriptedLog {
  const fork = new ScriptedLog();
  fork.entries = [...history.entries];
  return fork;
}

export const append = (history: ScriptedLog, jobId: string): number =>
  history.append({ type: 'job.resumed', actor: 'context/root', subject: 'federation', body: { jobId } });
