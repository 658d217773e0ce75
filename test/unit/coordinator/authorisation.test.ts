import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { ENTRY_TYPES, type LedgerEntry } from '@tributary/proto';
import {
  ENTRY_AUDIENCE,
  mayAgentRead,
  METHOD_PRINCIPALS,
  requirePermission,
  type Method,
  type Principal,
} from '@tributary/coordinator/internal/domain/authorisation.js';

import { FederationWorld, idOf } from '../../support/federation-world.js';
import { refusal } from '../../support/refusal.js';

const methods = Object.keys(METHOD_PRINCIPALS) as Method[];

/** Methods of a service, read from the contract. */
function methodsOf(file: string): string[] {
  const text = readFileSync(new URL(`../../../../proto/tributary/v1/${file}.proto`, import.meta.url), 'utf8');
  return Array.from(text.matchAll(/^ {2}rpc (\w+)\(/gm), ([, name]) => name ?? '');
}

/** Cells of the first table after a heading. */
function tableAfter(markdown: string, heading: string): string[][] {
  const lines = markdown.slice(markdown.indexOf(`\n${heading}\n`)).split('\n');
  const start = lines.findIndex((line) => line.startsWith('|'));
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'));
  return lines.slice(start, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const allowed = (principal: Principal): string[] =>
  methods.filter((method) => (METHOD_PRINCIPALS[method] as readonly Principal[]).includes(principal)).sort();

describe('the authorisation table', () => {
  const services = {
    fleet: methodsOf('fleet'),
    ledger: methodsOf('ledger'),
    admin: methodsOf('admin'),
    enrolment: methodsOf('enrolment'),
  };

  it('has a row for every method of the contract and no other', () => {
    assert.deepEqual([...methods].sort(), Object.values(services).flat().sort());
  });

  it('is the table of the README', () => {
    const readme = readFileSync(new URL('../../../../coordinator/README.md', import.meta.url), 'utf8');
    const [header = [], , ...rows] = tableAfter(readme, '## Who may call what');
    const [, ...principals] = header;
    const written = rows.map(([method = '', ...cells]) => [
      method,
      principals.filter((_, index) => cells[index] === 'yes'),
    ]);
    assert.deepEqual(Object.fromEntries(written), METHOD_PRINCIPALS);
  });

  it('gives admins everything that operators are served', () => {
    assert.deepEqual(allowed('admin'), [...services.admin, ...services.ledger, ...services.enrolment].sort());
  });

  it('gives viewers what changes nothing and holds no key', () => {
    const changes = [
      'Apply',
      'DeleteObject',
      'ControlJob',
      'CreateInvitation',
      'ApproveSite',
      'RevokeSite',
      'UndoRollout',
      'CreateContext',
      'RevokeContext',
      'PublishRoster',
      'StreamBackup',
    ];
    assert.deepEqual(
      allowed('viewer'),
      allowed('admin').filter((method) => !changes.includes(method)),
    );
  });

  it('gives agents fleet and ledger, and before approval only the stream on which they wait', () => {
    assert.deepEqual(allowed('agent'), [...services.fleet, ...services.ledger, ...services.enrolment].sort());
    assert.deepEqual(allowed('pending-agent'), ['Connect', ...services.enrolment].sort());
    assert.deepEqual(allowed('anyone'), [...services.enrolment].sort());
  });

  it('refuses with what is missing', () => {
    requirePermission('admin', 'Apply');
    assert.throws(
      () => {
        requirePermission('viewer', 'Apply');
      },
      refusal('PERMISSION_DENIED', /Apply needs the role admin, not viewer/),
    );
    assert.throws(() => {
      requirePermission('pending-agent', 'SubmitUpdate');
    }, refusal('AGENT_NOT_APPROVED'));
    assert.throws(() => {
      requirePermission('pending-agent', 'Apply');
    }, refusal('PERMISSION_DENIED'));
    assert.throws(() => {
      requirePermission('anyone', 'Connect');
    }, refusal('PERMISSION_DENIED'));
  });
});

describe('who may read which entries', () => {
  /** A federation in which every type of entry that agents care about occurs; `north` is in no cohort. */
  function eventful(): FederationWorld {
    const world = FederationWorld.create();
    world.join('west', { team: 'in' });
    world.join('east', { team: 'in' });
    world.join('south', { team: 'in' });
    world.join('north');
    const spec = { rounds: 1, siteSelector: { matchLabels: { team: 'in' } } };
    world.submit('loans', spec);
    world.perform(world.until('open-round'));
    const { jobId, round, attempt } = world.round('loans');
    world.run({
      kind: 'decline-round',
      jobId,
      round,
      attempt,
      agentId: idOf('agt', 'south'),
      code: 'POLICY_REFUSED',
      detail: '',
    });
    world.accept('loans', 'west');
    world.accept('loans', 'east');
    world.perform(world.until('complete-job'));
    assert.equal(world.job('loans').phase, 'Complete');
    world.run({ kind: 'raise-alarm', subject: 'site/west', code: 'TOKEN_USED', detail: '' });
    world.run({ kind: 'revoke-site', site: 'east', reason: '' });
    return world;
  }

  const trainer = (site: string) => ({ agentId: idOf('agt', site), site, kind: 'Training' as const });
  const readable = (world: FederationWorld, site: string): string[] =>
    world.entries
      .filter((entry) => mayAgentRead(world.state, trainer(site), entry))
      .map(({ type, subject }) => `${type} ${subject}`);

  it('has a row for every type', () => {
    assert.deepEqual(Object.keys(ENTRY_AUDIENCE).sort(), [...ENTRY_TYPES].sort());
  });

  it('is the table of the README, by what an entry is about', () => {
    const readme = readFileSync(new URL('../../../../coordinator/README.md', import.meta.url), 'utf8');
    const [header = [], , ...rows] = tableAfter(readme, '## Who may read which entry');
    assert.deepEqual(header.slice(1), ['audience', 'agent', 'replica', 'context']);
    const shown: Readonly<Record<string, readonly [agent: string, replica: string]>> = {
      everyone: ['yes', 'yes'],
      'own-site': ['of its site', 'of itself'],
      'own-jobs': ['of its jobs', ''],
      'own-rollouts': ['for its site', 'for its site'],
      operators: ['', ''],
    };
    const written = rows.map(([types = '', audience = '', ...cells]) => {
      assert.deepEqual(cells, [...(shown[audience] ?? []), 'yes'], audience);
      return types.split(', ').map((type) => [type.replaceAll('`', ''), audience]);
    });
    assert.deepEqual(Object.fromEntries(written.flat()), ENTRY_AUDIENCE);
  });

  it('shows a stranger nothing but what is for everyone, whatever an entry holds', () => {
    const world = eventful();
    const jobId = idOf('job', 'loans');
    const others = { site: 'west', agentId: idOf('agt', 'west'), jobId, model: 'loans', rolloutId: 'rol-1' };
    for (const type of ENTRY_TYPES)
      for (const kind of ['Training', 'Serving'] as const) {
        const entry = { v: 1, seq: 0, time: '', actor: '', subject: '', type, body: others } as unknown;
        const reader = { agentId: idOf('agt', 'north'), site: 'north', kind };
        assert.equal(
          mayAgentRead(world.state, reader, entry as LedgerEntry),
          ENTRY_AUDIENCE[type] === 'everyone',
          `${type} to ${kind}`,
        );
      }
  });

  it('shows a replica of a site nothing of what its agent did', () => {
    const world = eventful();
    const replica = { agentId: idOf('agt', 'replica'), site: 'west', kind: 'Serving' as const };
    const read = world.entries.filter((entry) => mayAgentRead(world.state, replica, entry));
    assert.deepEqual(
      read.map(({ type }) => type),
      ['federation.created'],
    );
  });

  it('shows agents their own site and the jobs that they were in', () => {
    const world = eventful();
    const job = `job/${idOf('job', 'loans')}`;
    const agent = `agent/${idOf('agt', 'west')}`;
    assert.deepEqual(readable(world, 'west'), [
      'federation.created federation',
      `agent.enrolled ${agent}`,
      `agent.approved ${agent}`,
      `job.submitted ${job}`,
      `job.started ${job}`,
      `round.opened ${job}`,
      `update.accepted ${job}`,
      `stage.closed ${job}`,
      `round.committed ${job}`,
      'model.registered model/loans',
      `job.completed ${job}`,
    ]);
  });

  it('shows nothing of a job to a site that was never in its cohort', () => {
    const world = eventful();
    const agent = `agent/${idOf('agt', 'north')}`;
    assert.deepEqual(readable(world, 'north'), [
      'federation.created federation',
      `agent.enrolled ${agent}`,
      `agent.approved ${agent}`,
    ]);
  });

  it('shows of a deleted job only what the site itself did', () => {
    const world = eventful();
    world.run({ kind: 'delete-job', name: 'loans' });
    const lines = readable(world, 'west').filter((line) => line.includes('job/'));
    assert.deepEqual(lines, [`update.accepted job/${idOf('job', 'loans')}`]);
  });

  it('shows invitations, contexts and alarms to no agent', () => {
    const world = eventful();
    const hidden = new Set(['token.created', 'context.created', 'context.revoked', 'alarm.raised']);
    for (const site of ['west', 'east', 'north']) {
      assert.ok(
        world.entries.every(
          (entry) => !hidden.has(entry.type) || !mayAgentRead(world.state, trainer(site), entry),
        ),
      );
    }
  });
});
