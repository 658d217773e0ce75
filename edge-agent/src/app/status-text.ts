import type { FullStatus } from './status.js';
import { describePipelines } from './streams/pipeline-text.js';

/** The status for people. */
export function describeStatus(status: FullStatus): string {
  const { egress, decisions, lastError, ledger } = status;
  const serving = status.serving.map(({ name, version }) => `${name}@${String(version)}`).join(', ');
  const lines = [
    `Site:          ${status.site} (${status.kind === 'Serving' ? 'replica ' : ''}${status.agentId})`,
    `Coordinator:   ${status.coordinator}`,
    `Connection:    ${status.connection}${lastError === null ? '' : ` (${lastError.code}: ${lastError.detail})`}`,
    `Ledger:        ${String(ledger.size)} entries verified, of log ${status.logId}`,
    ...(ledger.alarm === null
      ? []
      : [
          `  ${ledger.alarm.code} since ${ledger.alarm.since}: nothing is done for this coordinator`,
          '  until it is settled; see `tributary-agent log forks`',
        ]),
    `Certificate:   until ${status.certificateExpires}`,
    `Sent:          ${egress.update} bytes of updates, ${egress.control} bytes of control messages, ${egress.transport} bytes around them`,
    `Serves:        ${serving === '' ? 'no model' : serving}`,
    ...describePipelines(status.pipelines),
    `Decisions:     ${String(decisions.count)}, head ${decisions.head} (all: tributary-agent log show)`,
    ...(decisions.recent.length === 0 ? [] : ['Since the start:']),
    ...decisions.recent.map(
      ({ time, job, round, allowed, code, rule }) =>
        `  ${time}  ${job} round ${String(round)}: ${allowed ? 'allowed' : `refused, ${code}${rule === '' ? '' : ` by ${rule}`}`}`,
    ),
    ...(status.rounds.length === 0 ? [] : ['Rounds:']),
    ...status.rounds.map(
      ({ jobId, round, attempt, phase }) =>
        `  ${jobId} round ${String(round)}, attempt ${String(attempt)}: ${phase}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}
