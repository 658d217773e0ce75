import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  encodeBase64,
  parseIdentityStatement,
  parseSitePolicy,
  signingKeyFromSeed,
  type EntryBody,
  type FederationRoot,
  type JsonValue,
  type RosterDocument,
} from '@tributary/proto';
import { parse } from 'yaml';

import { CliSession } from '../support/cli-session.js';
import { BINARIES, runCommand } from '../support/daemon.js';
import { LocalFederation, requireSuccess } from '../support/federation.js';
import { policyDocument } from '../support/job-document.js';
import { memberOf, publishedBody, rootOf, rosterOf, signedBy } from '../support/roster.js';
import { AGENT_ID, ScriptedCoordinator, SITE } from '../support/scripted-coordinator.js';
import type { ScriptedRound } from '../support/scripted-log.js';
import { ScriptedSite, type RunningAgent } from '../support/scripted-site.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { trialJob } from '../support/trial-job.js';
import { trialCsv } from '../support/training-job.js';
import { eventually } from '../support/waiting.js';

const root = rootOf(1, 'ada');
const PEERS = ['east', 'north'];

/** A coordinator that does as it likes, and a site whose policy pins a root that this coordinator does not hold. */
describe('a coordinator that makes members of its own', () => {
  let coordinator: ScriptedCoordinator;
  let folder: TemporaryDirectory;
  let site: ScriptedSite;
  let running: RunningAgent | undefined;
  let self: RosterDocument['members'][number];

  beforeEach(async () => {
    coordinator = await ScriptedCoordinator.start();
    folder = await temporaryDirectory();
    site = new ScriptedSite(folder.path, coordinator);
    coordinator.log.append({
      type: 'job.resumed',
      actor: 'context/root',
      subject: 'federation',
      body: { jobId: 'before' },
    });
    await site.join(coordinator.token());
    pinRoot(root);
    running = await site.run();
    self = { site: SITE, agentId: AGENT_ID, identityKey: running.agent.identity().identityKey };
    await connected();
  });

  afterEach(async () => {
    await running?.stop();
    coordinator.stop();
    await folder.remove();
  });

  const connected = () => eventually('a stream', () => (coordinator.streams.size > 0 ? true : undefined));

  async function restart(): Promise<void> {
    await running?.stop();
    running = await site.run();
    await connected();
  }

  function pinRoot({ name, threshold, keys }: FederationRoot): void {
    const { spec, ...document } = policyDocument();
    site.policy = parseSitePolicy({
      ...document,
      spec: {
        ...spec,
        authors: [{ name: 'analyst', key: coordinator.log.authorKey }],
        minimumCohort: 3,
        federation: { root: { name, threshold, keys } },
      },
    }).spec;
  }

  const roster = (change: Partial<RosterDocument> = {}): RosterDocument =>
    rosterOf(root, [], {
      members: [self, ...PEERS.map(memberOf)],
      authors: [{ name: 'analyst', key: coordinator.log.authorKey }],
      issued: new Date(Date.now() - 1_000).toISOString(),
      expires: new Date(Date.now() + 3_600_000).toISOString(),
      ...change,
    });

  function publish(document: RosterDocument, bytes = signedBy(document, 'ada')): number {
    const body: EntryBody<'roster.published'> = publishedBody(document, bytes);
    return coordinator.log.append({
      type: 'roster.published',
      actor: 'context/root',
      subject: 'federation',
      body,
    });
  }

  /** A round with these peers beside the site; the order proves these entries besides those of the round. */
  async function order(
    name: string,
    peers: readonly string[],
    seqs: readonly number[],
  ): Promise<ScriptedRound> {
    const cohort = [{ site: SITE, agentId: AGENT_ID }, ...peers.map(memberOf)].map(
      ({ site: at, agentId }) => ({
        site: at,
        agentId,
      }),
    );
    const round = coordinator.openRound({
      job: name,
      alter: (body) => ({ ...body, cohort }),
      spec: { minSites: 3 },
    });
    await coordinator.sendOrder(name, [...seqs, ...round.seqs]);
    return round;
  }

  /** What the site answers to its `count`th order. */
  const answer = async (count: number): Promise<string> => {
    const acks = await eventually('an answer', () => {
      const told = coordinator.messages('ack');
      return told.length >= count ? told : undefined;
    });
    const ack = acks[count - 1];
    return ack?.accepted === true ? 'accepted' : (ack?.code ?? '');
  };

  it('gets the update of a site for a round of members', async () => {
    await order('honest', PEERS, [publish(roster())]);
    assert.equal(await answer(1), 'accepted');
    await eventually('an upload', () => [...coordinator.uploads.values()].find(({ sealed }) => sealed));
  });

  it('gets nothing for a round of its own three agents, with or without a roster that names them', async () => {
    const sybils = ['sybil-1', 'sybil-2', 'sybil-3'];
    await order('bare', sybils, []);
    assert.equal(await answer(1), 'ROSTER_MISSING');
    const genuine = publish(roster());
    await order('genuine', sybils, [genuine]);
    assert.equal(await answer(2), 'NOT_IN_ROSTER');
    const own = roster({ members: [self, ...sybils.map(memberOf)] });
    await order('forged', sybils, [publish(own, signedBy(own, 'mallory'))]);
    assert.equal(await answer(3), 'ROSTER_INVALID');
    await order('mixed', [...PEERS, 'sybil-1'], [genuine]);
    assert.equal(await answer(4), 'NOT_IN_ROSTER');
    assert.equal(site.trainer.trainings, 0, 'no row was read');
    assert.equal(coordinator.counts.submit, 0, 'nothing left');
  });

  it('cannot put its own agent under the name of a member', async () => {
    const seq = publish(roster());
    const cohort = [
      { site: SITE, agentId: AGENT_ID },
      ...PEERS.map((at) => ({ site: at, agentId: memberOf('sybil').agentId })),
    ];
    const round = coordinator.openRound({
      job: 'names',
      alter: (body) => ({ ...body, cohort }),
      spec: { minSites: 3 },
    });
    await coordinator.sendOrder('names', [seq, ...round.seqs]);
    assert.equal(await answer(1), 'NOT_IN_ROSTER');
  });

  it('cannot go back to the roster before one that the site has seen, also after a restart of the agent', async () => {
    const old = publish(roster());
    const newer = publish(roster({ version: 2, members: [self, ...PEERS.map(memberOf), memberOf('south')] }));
    await order('first', PEERS, [newer]);
    assert.equal(await answer(1), 'accepted');
    await restart();
    await order('second', PEERS, [old]);
    assert.equal(await answer(2), 'ROSTER_ROLLBACK');
    assert.ok(
      site.lines.some((line) => line.startsWith('error alarm: ')),
      'the log of the site has an alarm',
    );
  });

  it('cannot keep a site in rounds with somebody who was removed', async () => {
    await order('before', PEERS, [publish(roster())]);
    assert.equal(await answer(1), 'accepted');
    await order('after', PEERS, [publish(roster({ version: 2, members: [self, memberOf('east')] }))]);
    assert.equal(await answer(2), 'NOT_IN_ROSTER');
  });

  it('cannot go on with an author who was removed', async () => {
    await order('before', PEERS, [publish(roster())]);
    assert.equal(await answer(1), 'accepted');
    await order('after', PEERS, [publish(roster({ version: 2, authors: [] }))]);
    assert.equal(await answer(2), 'AUTHOR_UNKNOWN');
  });

  it('can show the newest roster that it has for no longer than the roster says', async () => {
    const expires = new Date(Date.now() - 1).toISOString();
    const issued = new Date(Date.now() - 60_000).toISOString();
    await order('late', PEERS, [publish(roster({ issued, expires }))]);
    assert.equal(await answer(1), 'ROSTER_EXPIRED');
  });

  it('cannot name the key of another agent as that of the site', async () => {
    const stranger = encodeBase64(signingKeyFromSeed(new Uint8Array(32)).publicKey);
    const members = [{ ...self, identityKey: stranger }, ...PEERS.map(memberOf)];
    await order('swapped', PEERS, [publish(roster({ members }))]);
    assert.equal(await answer(1), 'NOT_IN_ROSTER');
  });
});

/** Commands as people run them, a coordinator and agents as processes. */
describe('a federation with a root of its own', function () {
  this.timeout(120_000);
  const SITES = ['east', 'north', 'west'];
  let folder: TemporaryDirectory;
  let federation: LocalFederation;

  before(async () => {
    folder = await temporaryDirectory();
    federation = await LocalFederation.start(join(folder.path, 'federation'));
  });
  after(async () => {
    await federation.stop();
    await folder.remove();
  });

  const at = (name: string): string => join(folder.path, name);
  /** A command that works on files alone. */
  async function offline(...words: readonly string[]): Promise<string> {
    const session = new CliSession();
    session.now = Date.now();
    await session.run('federation', ...words);
    return session.terminal.results.join('\n');
  }
  const roster = (...words: readonly string[]): Promise<string> =>
    offline('roster', ...words, '-f', at('roster.json'));
  const publish = (): Promise<string> =>
    federation.cliText('federation', 'roster', 'publish', '-f', at('roster.json'));
  async function identityOf(site: string): Promise<string> {
    const config = join(federation.siteFolder(site), 'agent.yaml');
    const told = requireSuccess(
      `identity of ${site}`,
      await runCommand(BINARIES.agent, ['identity', '--config', config]),
    );
    await writeFile(at(`${site}.identity`), told.stdout);
    return at(`${site}.identity`);
  }
  const phase = async (job: string): Promise<unknown> =>
    ((await federation.object(`fj/${job}`))['status'] as Record<string, unknown>)['phase'];
  const completed = (job: string) =>
    eventually(
      `${job} to complete`,
      async () => ((await phase(job)) === 'Complete' ? true : undefined),
      60_000,
    );

  it('trains with those whom the root names, from `federation init` to the model, and without whom it takes out', async () => {
    const pin = parse(await offline('init', '--name', 'hearts', '--out', folder.path)) as {
      federation: Record<string, unknown>;
    };
    const policy = { federation: { ...pin.federation, authors: 'Roster' }, authors: [], minimumCohort: 2 };
    for (const name of SITES)
      await federation.joinSite({ name, csv: trialCsv(60, 4), dataset: 'trial', policy });
    for (const name of SITES) await federation.cliText('approve', name);
    await roster('init');
    // Of two agents before they run, of one while it does: the answer is the same.
    const files = [await identityOf('east'), await identityOf('north')];
    for (const name of SITES) federation.startAgent(name);
    files.push(
      await eventually('the running agent to answer', () => identityOf('west').catch(() => undefined)),
    );
    const west = JSON.parse(await readFile(at('west.identity'), 'utf8')) as JsonValue;
    assert.equal(parseIdentityStatement(west).site, 'west');
    await roster('add', ...files);
    await roster('author', 'operator', await federation.authorKey());
    await roster('sign', '--key', at('root.key'));
    assert.match(await publish(), /version 1 published/);
    await federation.apply(trialJob('first', { minSites: 3 }));
    await completed('first');

    await roster('remove', 'north');
    await roster('sign', '--key', at('root.key'));
    await publish();
    await federation.apply(trialJob('second', { minSites: 2 }));
    await completed('second');
    const events = await federation.cliText('describe', 'fj/second', '-o', 'json');
    const opened = (
      JSON.parse(events) as { events: { type: string; body: { cohort: { site: string }[] } }[] }
    ).events.find(({ type }) => type === 'round.opened');
    assert.deepEqual(
      opened?.body.cohort.map(({ site }) => site),
      ['east', 'west'],
    );
    assert.match(await publish(), /version 2 published/, 'the same roster again changes nothing');
  });

  it('goes on with its roster after a restart of the coordinator', async () => {
    await federation.coordinator.stop();
    await federation.serve();
    await federation.apply(trialJob('third', { minSites: 2 }));
    await completed('third');
  });

  it('records no roster of another root', async () => {
    await offline('init', '--name', 'hearts', '--out', at('other'));
    const file = at('other/roster.json');
    await offline('roster', 'init', '-f', file);
    await offline('roster', 'sign', '-f', file, '--key', at('other/root.key'));
    const refused = await federation.cli('federation', 'roster', 'publish', '-f', file);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /CONFLICT/);
  });
});
