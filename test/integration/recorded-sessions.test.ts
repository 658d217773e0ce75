import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { chmod, cp } from 'node:fs/promises';
import { join } from 'node:path';

import { credentials } from '@grpc/grpc-js';
import { FleetChannel } from '@tributary/edge-agent/internal/adapters/grpc/fleet-channel.js';
import type { EgressCounter } from '@tributary/edge-agent/internal/app/egress-counter.js';
import type { Dialer } from '@tributary/edge-agent/internal/ports.js';
import { decodeEntry, WIRE_VERSIONS } from '@tributary/proto';
import {
  Fleet,
  Ledger,
  type CoordinatorMessage__Output,
  type AgentMessage__Output,
  type StageMessage__Output,
} from '@tributary/proto/grpc';

import { repositoryRoot } from '../support/daemon.js';
import { withFixedDealing } from '../support/fixed-dealing.js';
import { servePlain } from '../support/plain-coordinator.js';
import {
  agentsOf,
  METHODS,
  readSession,
  sessionOf,
  type RecordedMessage,
  type RecordedSession,
} from '../support/recorded-session.js';
import { ScriptedSite } from '../support/scripted-site.js';
import { playAgents, RecordedCoordinator, type HeardMessage } from '../support/session-playback.js';
import { clockFrom } from '../support/shifted-clock.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const SESSIONS = join(repositoryRoot, 'test/data/sessions');
const recorded = readdirSync(SESSIONS).sort();
const secure = '1.3-secure';

/**
 * Sessions that builds of earlier wire versions had with each other (test/support/write-session.ts), played byte for byte
 * against either side of this build, on the data that they began with.
 */
describe('recorded sessions', function () {
  this.timeout(60_000);
  let directory: TemporaryDirectory;
  let session: RecordedSession;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(() => directory.remove());

  const copy = async (version: string, part: string, to = part): Promise<string> => {
    const target = join(directory.path, to);
    await cp(join(SESSIONS, version, part), target, { recursive: true });
    await chmod(join(target, 'seal.key'), 0o600);
    return target;
  };
  const read = async (version: string): Promise<void> => {
    session = await readSession(join(SESSIONS, version, 'session.ndjson'));
  };

  it('are there for every earlier wire version that is spoken', () => {
    for (const version of WIRE_VERSIONS.slice(1)) assert.ok(recorded.includes(version), version);
  });

  it('are there for a secure round, with all that is said in its stages', async () => {
    await read(secure);
    for (const agentId of agentsOf(session)) {
      const said = sessionOf(session, agentId).messages.filter(({ from }) => from === 'agent');
      const stages = said.filter(({ rpc }) => rpc === 'Fleet/SubmitStage').map(stageOf);
      assert.deepEqual([...new Set(stages)], ['advertise', 'share', 'agree', 'unmask']);
      assert.ok(said.some(({ rpc, kind }) => rpc === 'Fleet/SubmitUpdate' && kind === 'seal'));
    }
  });

  for (const name of recorded.filter((name) => WIRE_VERSIONS.includes(versionOf(name)))) {
    it(`${name}: agents of then are served to the end of their job`, async () => {
      await read(name);
      const agents = agentsOf(session);
      const { atMs } = session.head;
      const coordinator = await servePlain(await copy(name, 'coordinator'), agents, clockFrom(atMs));
      try {
        const answers = await playAgents(session, coordinator.addresses);
        const first = answers[0]?.message as CoordinatorMessage__Output;
        assert.equal(first.welcome?.version, versionOf(name));
        for (const agentId of agents) {
          const wanted = ordersOf(recordedAnswers(sessionOf(session, agentId)));
          const orders = ordersOf(answers.filter(({ agent = session.head.agentId }) => agent === agentId));
          assert.deepEqual(
            orders.filter((order) => wanted.includes(order)),
            wanted,
          );
          // Since wire 1.2 agents are told of the end of a job as well; those of 1.1 know such an order.
          for (const order of orders.filter((order) => !wanted.includes(order)))
            assert.match(order, / job\.completed$/);
        }
        const { updates, phase } = await eventually('the job to end', () => {
          const job = [...coordinator.core.federation.state.jobs.values()].find(
            ({ name }) => name === 'loans',
          );
          return job?.phase === 'Complete' && job.round
            ? { updates: [...job.round.updates.keys()], phase: job.phase }
            : undefined;
        });
        const sites = agents.map((agentId) => coordinator.core.federation.state.agents.get(agentId)?.site);
        assert.deepEqual([[...updates].sort(), phase], [sites.sort(), 'Complete']);
      } finally {
        await coordinator.stop();
      }
    });

    it(`${name}: a coordinator of then is followed to the end of its job`, () =>
      withFixedDealing(async () => {
        await read(name);
        const own = sessionOf(session, session.head.agentId);
        const coordinator = await RecordedCoordinator.start(own);
        await copy(name, 'agent', 'data');
        const site = new ScriptedSite(directory.path, { log: { authorKey: session.head.authorKey } });
        site.clock = clockFrom(session.head.atMs);
        site.dialer = (egress) => plainDialer(coordinator.address, egress);
        const running = await site.run();
        try {
          await coordinator.whole();
          const said = coordinator.heard.map(({ message }) => message as AgentMessage__Output);
          assert.ok(said[0]?.hello?.versions.includes(versionOf(name)));
          const acks = said.flatMap(({ ack }) => ack ?? []);
          assert.ok(acks.length > 0 && acks.every(({ accepted }) => accepted));
          await eventually('the update to be forgotten', () =>
            running.agent.status().rounds.length === 0 ? true : undefined,
          );
          assert.equal(running.agent.status().connection, 'Connected');
        } finally {
          await running.stop();
          coordinator.stop();
        }
      }));
  }
});

function plainDialer(address: string, egress: EgressCounter): Dialer {
  const refuse = (): Promise<never> => Promise.reject(new Error('the session needs no enrolment'));
  const tls = credentials.createInsecure();
  return {
    hasBundle: false,
    presentedChain: refuse,
    enrolment: refuse,
    fleet: () => Promise.resolve(new FleetChannel(new Fleet(address, tls), new Ledger(address, tls), egress)),
    diagnose: () => Promise.resolve(undefined),
  };
}

/** Of the name of a recording: "1.3-secure". */
function versionOf(name: string): string {
  return name.split('-')[0] ?? '';
}

function stageOf({ rpc, bytes }: RecordedMessage): string {
  const message = METHODS.get(`/tributary.v1.${rpc}`)?.requestDeserialize(bytes);
  return (message as StageMessage__Output).stage;
}

/** The answers of the recording, decoded. */
function recordedAnswers({ messages }: RecordedSession): readonly HeardMessage[] {
  const answers = messages.filter(({ from }) => from === 'coordinator');
  return answers.flatMap(({ rpc, kind, bytes }) => {
    const message = METHODS.get(`/tributary.v1.${rpc}`)?.responseDeserialize(bytes);
    return message === undefined ? [] : [{ rpc, kind, agent: undefined, message }];
  });
}

/** Orders by their ids and by what they ask for. */
const ordersOf = (answers: readonly HeardMessage[]): string[] =>
  answers
    .map(({ message }) => (message as Partial<CoordinatorMessage__Output>).order)
    .flatMap((order) => {
      const last = order?.entries.at(-1);
      return order && last ? [`${order.orderId} ${decodeEntry(last.entry).type}`] : [];
    });
