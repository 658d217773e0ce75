import type { ChartName } from './charts.js';

/** Series by what follows the name of their metric, without the labels of the release; values as promtool writes them. */
export type Series = Readonly<Record<string, string>>;

/** What an alert says of series that are bad, and series of a healthy daemon on which it is silent. */
export interface AlertCase {
  readonly bad: Series;
  readonly good: Series;
  /** When both are looked at, after the first sample; one sample a minute. */
  readonly at: string;
  /** Labels of the alert beyond severity and those of the release. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly severity: 'critical' | 'warning';
  readonly description: string;
}

export type AlertCases = Readonly<Record<ChartName, Readonly<Record<string, AlertCase>>>>;

const DOWN = 'Agents keep their updates and sites go on answering; no round goes on.';

/** Seconds. Time begins at 0 in these cases. */
const DAY = 86_400;

/** A counter that exists from the start of its process on, and counts `first` things in minute ten. */
const burst = (first: number): string => `0x10 ${String(first)}x600`;

export const ALERT_CASES: AlertCases = {
  'tributary-coordinator': {
    TributaryCoordinatorDown: {
      // Scraped in vain, then not even known.
      bad: { up: '1x5 0x3 _x60' },
      // One missed scrape is none.
      good: { up: '1x20 0x2 1x40' },
      at: '30m',
      severity: 'critical',
      description: DOWN,
    },
    TributaryCoordinatorRestarts: {
      // Up whenever it is scraped.
      bad: { process_start_time_seconds: '0x10 700x3 1000x3 1300x60' },
      // An upgrade, and another one.
      good: { process_start_time_seconds: '0x10 700x3 1000x60' },
      at: '20m',
      severity: 'critical',
      description: 'It has started 3 times within half an hour.',
    },
    TributaryStoreDamaged: {
      // Found at the start: there is no sample without it.
      bad: { tributary_damage_total: '_x10 1x60' },
      good: { tributary_damage_total: '0x60' },
      at: '20m',
      severity: 'critical',
      description: 'It was found 1 times within an hour; the log names it.',
    },
    TributaryNoAgents: {
      bad: { tributary_connected_agents: '0x60', tributary_jobs_open: '2x60' },
      // Nobody has asked for anything.
      good: { tributary_connected_agents: '0x60', tributary_jobs_open: '0x60' },
      at: '30m',
      severity: 'warning',
      description: '0 agents are connected.',
    },
    TributaryRoundsFail: {
      bad: {
        'tributary_rounds_total{outcome="failed"}': '0+0.1x600',
        'tributary_rounds_total{outcome="committed"}': '0x600',
      },
      good: {
        'tributary_rounds_total{outcome="failed"}': '0+0.1x600',
        'tributary_rounds_total{outcome="committed"}': '0+0.5x600',
      },
      at: '3h',
      labels: { outcome: 'failed' },
      severity: 'warning',
      description: '6 rounds have failed within an hour.',
    },
    TributaryJobsStall: {
      bad: { tributary_jobs_open: '1x900', 'tributary_rounds_total{outcome="opened"}': '7x900' },
      good: { tributary_jobs_open: '1x900', 'tributary_rounds_total{outcome="opened"}': '0+0.01x900' },
      at: '14h',
      severity: 'warning',
      description: '1 jobs are open.',
    },
    TributaryUpdatesRefused: {
      bad: { 'tributary_updates_refused_total{code="UPDATE_NOT_FINITE"}': burst(10) },
      good: { 'tributary_updates_refused_total{code="UPDATE_NOT_FINITE"}': burst(2) },
      at: '20m',
      severity: 'warning',
      description: '10 updates have been refused within half an hour.',
    },
    TributaryLedgerContradicted: {
      bad: { tributary_ledger_contradictions: '0x10 3x60' },
      // Settled at the site, and back.
      good: { tributary_ledger_contradictions: '0x10 3x5 0x60' },
      at: '20m',
      severity: 'critical',
      description:
        '3 agents or replicas have halted, or are refused. The ledger lost entries, or was forked.',
    },
    TributaryInternalErrors: {
      bad: {
        'tributary_calls_total{method="Apply",code="INTERNAL"}': burst(1),
        'tributary_calls_total{method="Apply",code="OK"}': '5x600',
      },
      good: {
        'tributary_calls_total{method="Apply",code="INTERNAL"}': '1x600',
        'tributary_calls_total{method="Apply",code="OK"}': '0+9x600',
      },
      at: '15m',
      severity: 'warning',
      description: '1 calls within a quarter of an hour.',
    },
    TributaryCoordinatorBusy: {
      bad: { nodejs_eventloop_lag_p99_seconds: '0.02x5 2.25x60' },
      // A peak of five minutes is none.
      good: { nodejs_eventloop_lag_p99_seconds: '0.02x18 2.25x5 0.02x60' },
      at: '30m',
      severity: 'warning',
      description: 'Its event loop is 2.2 s behind.',
    },
    TributaryCertificateExpires: {
      // A certificate of 90 days, of which 17 are left at the time of the look; the daemon's own has half a year.
      bad: {
        'tributary_certificate_start_timestamp_seconds{certificate="tunnel"}': `${String(3_600 - 73 * DAY)}x60`,
        'tributary_certificate_expiry_timestamp_seconds{certificate="tunnel"}': `${String(3_600 + 17 * DAY)}x60`,
        'tributary_certificate_start_timestamp_seconds{certificate="server"}': `${String(-180 * DAY)}x60`,
        'tributary_certificate_expiry_timestamp_seconds{certificate="server"}': `${String(185 * DAY)}x60`,
      },
      // One of a day, which its issuer replaces when a third is left; an authority near its end has an alert of its own.
      good: {
        'tributary_certificate_start_timestamp_seconds{certificate="tunnel"}': `${String(3_600 - 16 * 3_600)}x60`,
        'tributary_certificate_expiry_timestamp_seconds{certificate="tunnel"}': `${String(3_600 + 8 * 3_600)}x60`,
        'tributary_certificate_start_timestamp_seconds{certificate="authority"}': `${String(-3_600 * DAY)}x60`,
        'tributary_certificate_expiry_timestamp_seconds{certificate="authority"}': `${String(10 * DAY)}x60`,
      },
      at: '1h',
      labels: { certificate: 'tunnel' },
      severity: 'warning',
      description: 'Certificate tunnel: 17d 0h 0m 0s are left.',
    },
    TributaryAuthorityExpires: {
      bad: {
        'tributary_certificate_expiry_timestamp_seconds{certificate="authority"}': `${String(3_600 + 170 * DAY)}x60`,
      },
      good: {
        'tributary_certificate_expiry_timestamp_seconds{certificate="authority"}': `${String(3_600 + 190 * DAY)}x60`,
        'tributary_certificate_expiry_timestamp_seconds{certificate="server"}': `${String(3_600 + 100 * DAY)}x60`,
      },
      at: '1h',
      labels: { certificate: 'authority' },
      severity: 'warning',
      description: '170d 0h 0m 0s are left.',
    },
  },
  'tributary-agent': {
    TributaryAgentDown: {
      bad: { up: '1x5 0x60' },
      good: { up: '1x20 0x2 1x40' },
      at: '30m',
      severity: 'critical',
      description:
        'Its updates are on its volume; rounds go on without it. Streams of the site are not answered.',
    },
    TributaryAgentDisconnected: {
      bad: { tributary_agent_connected: '1x10 0x120' },
      good: { tributary_agent_connected: '1x10 0x20 1x120' },
      at: '1h',
      severity: 'warning',
      description: 'The site goes on answering; it takes part in no round.',
    },
    TributaryAgentLedgerContradicted: {
      bad: {
        'tributary_agent_ledger_alarm{kind="forked"}': '0x10 1x60',
        'tributary_agent_ledger_alarm{kind="shortened"}': '0x60',
      },
      good: {
        'tributary_agent_ledger_alarm{kind="forked"}': '0x60',
        'tributary_agent_ledger_alarm{kind="shortened"}': '0x10 1x5 0x60',
      },
      at: '20m',
      severity: 'critical',
      description:
        'The agent does nothing for its coordinator until the people of the site settle it. What is served goes on.',
    },
    TributaryTrainingsFail: {
      bad: { 'tributary_agent_trainings_total{outcome="failed"}': burst(4) },
      good: {
        'tributary_agent_trainings_total{outcome="failed"}': burst(1),
        'tributary_agent_trainings_total{outcome="completed"}': '0+1x600',
      },
      at: '15m',
      labels: { outcome: 'failed' },
      severity: 'warning',
      description: '4 trainings have failed within an hour.',
    },
    TributaryAgentCertificateExpires: {
      // Time begins at 0 here: two hours are left, or eight, as at the renewal.
      bad: { tributary_agent_certificate_expiry_timestamp_seconds: '18000x180' },
      good: { tributary_agent_certificate_expiry_timestamp_seconds: '39600x180' },
      at: '3h',
      severity: 'warning',
      description: '2h 0m 0s are left.',
    },
    TributaryStreamStopped: {
      bad: { 'tributary_agent_stream_running{pipeline="beats"}': '1x5 0x60' },
      good: { 'tributary_agent_stream_running{pipeline="beats"}': '1x20 0x5 1x60' },
      at: '30m',
      labels: { pipeline: 'beats' },
      severity: 'warning',
      description: 'Pipeline beats.',
    },
    TributaryDeadLetters: {
      bad: {
        'tributary_agent_stream_dead_letters_total{pipeline="beats",reason="NotJson"}': burst(8),
        'tributary_agent_stream_dead_letters_total{pipeline="beats",reason="NoKey"}': burst(7),
      },
      good: { 'tributary_agent_stream_dead_letters_total{pipeline="beats",reason="NotJson"}': burst(5) },
      at: '12m',
      labels: { pipeline: 'beats' },
      severity: 'warning',
      description: '15 of pipeline beats within a quarter of an hour.',
    },
    TributaryPredictionsFail: {
      bad: { 'tributary_agent_predictions_failed_total{model="risk"}': burst(2) },
      good: { 'tributary_agent_predictions_failed_total{model="risk"}': '4x600' },
      at: '12m',
      labels: { model: 'risk' },
      severity: 'warning',
      description: '2 of model risk within a quarter of an hour.',
    },
  },
};
