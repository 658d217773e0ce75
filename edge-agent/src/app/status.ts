import { kindOf, SOFTWARE_VERSION, type IdentityKind } from '@tributary/proto';

import type { Decision } from '../domain/decision.js';
import type { Egress } from '../domain/egress.js';
import { alarmError, type LedgerAlarm } from '../domain/ledger-alarm.js';
import type { SessionState } from '../domain/session-state.js';
import type { ServedVersion } from '../ports.js';
import type { AgentLink } from './agent-link.js';
import type { DecisionLog } from './decision-log.js';
import type { EnrolmentRecord } from './enrolment-record.js';
import type { Witness } from './witness.js';
import type { PipelineStatus } from './streams/pipeline-status.js';

export interface RoundStatus {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
  readonly phase: string;
}

/** What `tributary-agent status` shows. */
export interface AgentStatus {
  readonly formatVersion: 1;
  readonly agentId: string;
  readonly site: string;
  readonly kind: IdentityKind;
  readonly coordinator: string;
  readonly logId: string;
  readonly connection: string;
  readonly lastError: { readonly code: string; readonly detail: string } | null;
  /** RFC 3339. */
  readonly certificateExpires: string;
  readonly rounds: readonly RoundStatus[];
  /** Bytes that left since the join, as decimal numbers. */
  readonly egress: { readonly update: string; readonly control: string; readonly transport: string };
  /** Versions that answer. */
  readonly serving: readonly ServedVersion[];
  /** Entries of the newest verified head of the log, and what the coordinator contradicted where that is not settled. */
  readonly ledger: {
    readonly size: number;
    readonly alarm: { readonly code: string; readonly detail: string; readonly since: string } | null;
  };
  readonly decisions: { readonly count: number; readonly head: string; readonly recent: readonly Decision[] };
}

/** With what the pipelines of the agent do. */
export interface FullStatus extends AgentStatus {
  readonly pipelines: readonly PipelineStatus[];
}

export interface StatusSources {
  readonly record: EnrolmentRecord;
  readonly link: Pick<AgentLink, 'status' | 'lastError'>;
  readonly session: SessionState;
  readonly expiresAtMs: number;
  readonly egress: Egress;
  readonly decisions: Pick<DecisionLog, 'head' | 'recent'>;
  readonly serving: readonly ServedVersion[];
  readonly witness: Pick<Witness, 'head' | 'alarm'>;
}

export function statusOf({
  record,
  link,
  session,
  expiresAtMs,
  egress,
  decisions,
  serving,
  witness,
}: StatusSources): AgentStatus {
  return {
    formatVersion: 1,
    agentId: record.agentId,
    site: record.site,
    kind: kindOf(record.kind),
    coordinator: record.fleetAddress,
    logId: record.logId,
    connection: link.status,
    lastError: link.lastError ?? null,
    certificateExpires: new Date(expiresAtMs).toISOString(),
    rounds: session.rounds.map(({ order, phase }) => ({
      jobId: order.jobId,
      round: order.round,
      attempt: order.attempt,
      phase: phase.name,
    })),
    egress: {
      update: String(egress.update),
      control: String(egress.control),
      transport: String(egress.transport),
    },
    serving: serving.map(({ name, version }) => ({ name, version })),
    ledger: { size: witness.head?.treeSize ?? 0, alarm: alarmStatus(witness.alarm) },
    decisions: { count: decisions.head.count, head: decisions.head.digest, recent: decisions.recent },
  };
}

function alarmStatus(alarm: LedgerAlarm | undefined): AgentStatus['ledger']['alarm'] {
  if (alarm === undefined) return null;
  const { code, message: detail } = alarmError(alarm);
  return { code, detail, since: alarm.time };
}

/** The status for Prometheus (text format 0.0.4); few series, none per round. */
export function metricsOf(status: AgentStatus): string {
  const held = status.rounds.filter(
    ({ phase }) => phase === 'Held' || phase === 'Uploading' || phase === 'Delivered',
  ).length;
  const alarm = (code: string): number => (status.ledger.alarm?.code === code ? 1 : 0);
  return [
    ...metric('tributary_agent_build_info', 'gauge', '1, with the version of the build.', [
      [`{version="${SOFTWARE_VERSION}"}`, 1],
    ]),
    ...metric(
      'tributary_agent_connected',
      'gauge',
      'Whether the stream to the coordinator is open and approved.',
      [['', status.connection === 'Connected' ? 1 : 0]],
    ),
    ...metric(
      'tributary_agent_ledger_alarm',
      'gauge',
      'Whether the log of the coordinator contradicts what was seen before, and nobody has settled it.',
      [
        ['{kind="forked"}', alarm('LEDGER_FORKED')],
        ['{kind="shortened"}', alarm('LEDGER_SHORTENED')],
      ],
    ),
    ...metric(
      'tributary_agent_halted',
      'gauge',
      'Whether the agent does nothing for its coordinator until that is settled.',
      [['', status.connection === 'Halted' ? 1 : 0]],
    ),
    ...metric('tributary_agent_ledger_entries', 'gauge', 'Entries of the newest verified head of the log.', [
      ['', status.ledger.size],
    ]),
    ...metric(
      'tributary_agent_egress_bytes_total',
      'counter',
      'Bytes that left the site towards its coordinator, by kind.',
      [
        ['{kind="update"}', status.egress.update],
        ['{kind="control"}', status.egress.control],
        ['{kind="transport"}', status.egress.transport],
      ],
    ),
    ...metric('tributary_agent_outbox_updates', 'gauge', 'Updates held until the ledger settles them.', [
      ['', held],
    ]),
    ...metric('tributary_agent_policy_decisions_total', 'counter', 'Lines of the decision log.', [
      ['', status.decisions.count],
    ]),
    ...metric(
      'tributary_agent_certificate_expiry_timestamp_seconds',
      'gauge',
      'End of the client certificate, seconds since 1970.',
      [['', Math.floor(Date.parse(status.certificateExpires) / 1_000)]],
    ),
    '',
  ].join('\n');
}

/** One metric of the text format with its samples. */
export function metric(
  name: string,
  type: string,
  help: string,
  samples: readonly (readonly [labels: string, value: number | string])[],
): string[] {
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(([labels, value]) => `${name}${labels} ${String(value)}`),
  ];
}
