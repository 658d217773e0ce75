import type { ServerDuplexStream } from '@grpc/grpc-js';
import {
  decodeBase64,
  COSIGNING_WIRE_VERSION,
  encodeBase64,
  isAtLeast,
  LIMITS,
  negotiate,
  requireSignature,
  transcript,
  TributaryError,
  verifyTreeHead,
  type ErrorCode,
  type SignedTreeHead,
} from '@tributary/proto';
import type { AgentMessage__Output, CoordinatorMessage, Welcome } from '@tributary/proto/grpc';

import type { AgentConnection, AgentLink, Goodbye } from '../../app/agent-connection.js';
import type { Cosignatures } from '../../app/cosignatures.js';
import type { ConnectedAgents } from '../../app/connections.js';
import type { Federation } from '../../app/federation.js';
import type { Order } from '../../app/order.js';
import type { Clock } from '../../ports.js';
import type { AgentCaller, Callers } from './caller.js';
import { messagesOf, withDeadline, type CallContext } from './calls.js';
import { RateLimit } from './rate-limit.js';
import type { OfferedCosignature } from './wire/cosignature.js';
import { invalid } from './wire/fields.js';
import {
  fromAgentMessage,
  fromHello,
  type AgentReport,
  toGoodbyeMessage,
  toOrderMessage,
  type HelloOffer,
  type SiteDecision,
} from './wire/fleet.js';
import { toTreeHeadMessage } from './wire/tree-head.js';

/** The job is gone or over, or the site has changed its mind too often: nothing that ends a stream. */
const SETTLED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['NOT_FOUND', 'CONFLICT', 'LIMIT_EXCEEDED']);

type Stream = ServerDuplexStream<AgentMessage__Output, CoordinatorMessage>;

export interface ConnectParts {
  readonly federation: Federation;
  readonly cosignatures: Pick<Cosignatures, 'take' | 'signedBeyond'>;
  readonly agents: ConnectedAgents;
  readonly callers: Callers;
  readonly clock: Clock;
}

/** Serves the streams of agents. */
export class AgentStreams {
  readonly #parts: ConnectParts;
  readonly #starts: RateLimit;
  readonly #messages: RateLimit;

  constructor(parts: ConnectParts) {
    this.#parts = parts;
    this.#starts = new RateLimit(
      'starts of one agent',
      LIMITS.startsPerHour,
      LIMITS.rateWindowMs,
      parts.clock,
    );
    this.#messages = new RateLimit(
      'messages of one agent',
      LIMITS.agentMessagesPerMinute,
      60_000,
      parts.clock,
    );
  }

  /** Serves one `Connect` stream until the agent leaves, is revoked, or is told goodbye (silent ones are, too). */
  async serve(stream: Stream, context: CallContext): Promise<void> {
    const caller = this.#parts.callers.agent(context);
    const messages: AsyncIterator<AgentMessage__Output, undefined> = messagesOf(stream);
    const first = await withDeadline(messages.next(), LIMITS.unaryDeadlineMs, 'hello');
    if (!first.value?.hello) throw invalid('message', 'a hello as the first message');
    const hello = fromHello(first.value.hello);
    const { welcome, said } = await this.#welcome(caller, hello);
    await this.#cosign(caller, hello.cosignature);
    await this.#start(caller, hello);
    const heads = isAtLeast(welcome.version ?? '', COSIGNING_WIRE_VERSION) ? said : undefined;
    const link = new StreamLink(stream, heads);
    const connection = this.#attach(caller, hello, link);
    try {
      link.open({ welcome });
      await this.#listen(messages, link, connection, context);
    } finally {
      connection.detach();
    }
  }

  /**
   * Records a process that is newer than all before it. Rejects with AGENT_FENCED for an older one, and for one whose state
   * is from before what the agent has signed: it keeps a head before it signs that, so this is a copy that was restored.
   */
  async #start({ agentId }: AgentCaller, { sessionEpoch, treeHead }: HelloOffer): Promise<void> {
    const { federation, cosignatures, clock } = this.#parts;
    const known = federation.state.agents.get(agentId)?.sessionEpoch;
    if (known === String(sessionEpoch)) return;
    const size = treeHead?.treeSize ?? 0;
    if (cosignatures.signedBeyond(agentId, size)) {
      throw new TributaryError(
        'AGENT_FENCED',
        `the agent has signed more of the ledger than the ${String(size)} entries that its state knows of`,
        { hint: 'this state was restored from an older copy: bring the newest one back, or join again' },
      );
    }
    this.#starts.take(agentId);
    const actor = `agent/${agentId}`;
    await federation.execute({ kind: 'start-agent', now: clock.now(), actor, agentId, sessionEpoch });
  }

  #attach(caller: AgentCaller, hello: HelloOffer, link: AgentLink): AgentConnection {
    const { sessionEpoch, software, backend, datasets, serving } = hello;
    const knownSize = hello.treeHead?.treeSize ?? 0;
    return this.#parts.agents.attach(
      caller.agentId,
      { sessionEpoch, knownSize, software, backend, datasets, serving, wire: negotiate(hello.versions) },
      link,
    );
  }

  async #welcome(caller: AgentCaller, hello: HelloOffer): Promise<{ welcome: Welcome; said: number }> {
    const { federation } = this.#parts;
    const version = negotiate(hello.versions);
    const signed = transcript('hello', {
      agentId: caller.agentId,
      logId: federation.logId,
      sessionEpoch: String(hello.sessionEpoch),
      spendLogHead: encodeBase64(hello.spendLogHead),
      versions: hello.versions,
    });
    requireSignature(decodeBase64(caller.identityKey, 'identityKey'), signed, hello.signature, 'hello');
    const head = await federation.treeHead();
    const known =
      hello.treeHead === undefined ? undefined : await this.#verifyKnown(caller, hello.treeHead, head);
    const grown = known !== undefined && known.treeSize < head.treeSize;
    const consistency = grown ? await federation.consistencyProof(known.treeSize, head.treeSize) : [];
    return {
      said: head.treeSize,
      welcome: {
        version,
        treeHead: toTreeHeadMessage(head),
        consistency: [...consistency],
        approved: caller.approved,
        heartbeatIntervalMs: LIMITS.heartbeatIntervalMs,
      },
    };
  }

  /** A head of ours beyond our own log means that this log lost entries: nothing may be built on it unseen. */
  async #verifyKnown(
    caller: AgentCaller,
    known: SignedTreeHead,
    own: SignedTreeHead,
  ): Promise<SignedTreeHead> {
    const { federation } = this.#parts;
    const logKey = federation.state.federation?.logKey ?? '';
    verifyTreeHead(decodeBase64(logKey, 'logKey'), known);
    const forked = known.treeSize === own.treeSize && !Buffer.from(known.rootHash).equals(own.rootHash);
    if (known.treeSize <= own.treeSize && !forked) return known;
    await this.#alarm(caller, known.treeSize);
    throw new TributaryError(
      'PROOF_INVALID',
      'the agent has verified entries that this ledger does not hold',
      {
        hint: 'the coordinator was restored from an older backup; restore a newer one, or enrol the site again',
      },
    );
  }

  /** Once per agent: it will come back and say it again. */
  async #alarm({ agentId }: AgentCaller, size: number): Promise<void> {
    const { federation, clock } = this.#parts;
    const code = 'PROOF_INVALID';
    const subject = `agent/${agentId}`;
    if (federation.state.alarms.some((alarm) => alarm.subject === subject && alarm.code === code)) return;
    const detail = `the agent holds a signed tree head of size ${String(size)} that this ledger does not contain`;
    await federation.execute({
      kind: 'raise-alarm',
      now: clock.now(),
      actor: 'coordinator',
      subject,
      code,
      detail,
    });
  }

  /** Records what a site has decided about a job. What has ended meanwhile needs no decision. */
  async #decide(caller: AgentCaller, given: SiteDecision): Promise<void> {
    const { federation, clock } = this.#parts;
    const { agentId, identityKey, site } = caller;
    const { jobId, jobDigest, decision, approverName, decidedAt } = given;
    const approver = encodeBase64(given.approverKey);
    const { logId } = federation;
    const signed = transcript('approval', {
      ...{ logId, jobId, jobDigest, site, agentId, approver, decision },
      time: decidedAt,
    });
    requireSignature(decodeBase64(identityKey, 'identityKey'), signed, given.siteSignature, 'the decision');
    requireSignature(given.approverKey, signed, given.signature, 'the decision');
    try {
      await federation.execute({
        kind: 'decide-job',
        now: clock.now(),
        actor: `agent/${agentId}`,
        ...{ jobId, agentId, decision, jobDigest, approverName, approverKey: approver, decidedAt },
        signature: encodeBase64(given.signature),
        siteSignature: encodeBase64(given.siteSignature),
      });
    } catch (error) {
      if (!SETTLED.has(TributaryError.from(error).code)) throw error;
    }
  }

  /** Keeps what the agent signed. What it signs that is not so ends the stream. */
  async #cosign(caller: AgentCaller, cosignature: OfferedCosignature | undefined): Promise<void> {
    if (cosignature === undefined || caller.kind === 'Serving' || !caller.approved) return;
    await this.#parts.cosignatures.take(caller, cosignature);
  }

  /** Answers with the newest head, where the agent has not got it: it is watched while no round is open, too. */
  async #heartbeat(
    caller: AgentCaller,
    cosignature: OfferedCosignature | undefined,
    link: StreamLink,
  ): Promise<void> {
    await this.#cosign(caller, cosignature);
    const { federation } = this.#parts;
    const { said } = link;
    if (said === undefined || said >= federation.size() || !caller.approved) {
      link.send({ heartbeatAck: {} });
      return;
    }
    const head = await federation.treeHead();
    const consistency = await federation.consistencyProof(said, head.treeSize);
    link.send({ heartbeatAck: { treeHead: toTreeHeadMessage(head), consistency: [...consistency] } });
    link.said = head.treeSize;
  }

  async #listen(
    messages: AsyncIterator<AgentMessage__Output, undefined>,
    link: StreamLink,
    connection: AgentConnection,
    context: CallContext,
  ): Promise<void> {
    for (;;) {
      const next = await link.next(messages);
      if (next === undefined) return;
      // Asked again for every message: the agent may have been revoked since the last one.
      const caller = this.#parts.callers.agent(context);
      this.#messages.take(caller.agentId);
      const told = fromAgentMessage(next);
      if (told.type === 'Decision') await this.#decide(caller, told.decision);
      if (told.type === 'Heartbeat') await this.#heartbeat(caller, told.cosignature, link);
      await report(told, connection);
    }
  }
}

async function report(told: AgentReport, connection: AgentConnection): Promise<void> {
  connection.heartbeat(told.type === 'Heartbeat' ? told.serving : undefined);
  switch (told.type) {
    case 'Heartbeat':
    case 'Decision':
      return;
    case 'Ack':
      return connection.acknowledge(told.ack);
    case 'Progress':
      connection.progress(told.progress);
      return;
    case 'Failure':
      return connection.fail(told.failure);
  }
}

/** The coordinator's half of a stream. What is sent before `open` waits until the welcome is out. */
class StreamLink implements AgentLink {
  /** Size of the head that the stream said last; undefined where its agent understands none but those of orders. */
  said: number | undefined;
  readonly #stream: Stream;
  /** Until the welcome is out. */
  #waiting: CoordinatorMessage[] | undefined = [];
  /** Wakes the reader that waits for the agent's next message. */
  #wake: () => void = () => undefined;
  #over = false;

  constructor(stream: Stream, said: number | undefined) {
    this.#stream = stream;
    this.said = said;
  }

  /** The agent's next message; undefined when either side has ended the stream. */
  next(messages: AsyncIterator<AgentMessage__Output, undefined>): Promise<AgentMessage__Output | undefined> {
    if (this.#over) return Promise.resolve(undefined);
    // Not a race against one long-lived promise: each race would stay registered on it as long as the stream lives.
    return new Promise((resolve, reject) => {
      this.#wake = () => {
        resolve(undefined);
      };
      messages.next().then((next) => {
        resolve(next.done === true ? undefined : next.value);
      }, reject);
    });
  }

  open(welcome: CoordinatorMessage): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#stream.write(welcome);
    for (const message of waiting) this.#stream.write(message);
  }

  order(order: Order): void {
    this.send(toOrderMessage(order));
  }

  goodbye(goodbye: Goodbye): void {
    if (this.#over) return;
    this.send(toGoodbyeMessage(goodbye));
    this.#over = true;
    this.#wake();
  }

  send(message: CoordinatorMessage): void {
    if (this.#over || this.#stream.destroyed) return;
    if (this.#waiting !== undefined) {
      this.#waiting.push(message);
      return;
    }
    if (this.#stream.writableLength >= LIMITS.ordersWaiting) {
      // The agent does not read. It may come back, and gets its orders again.
      this.#over = true;
      this.#wake();
      return;
    }
    this.#stream.write(message);
  }
}
