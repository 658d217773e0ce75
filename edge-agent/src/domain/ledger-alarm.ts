import { TributaryError, type ErrorCode, type SignedTreeHead } from '@tributary/proto';

/** How two heads that one log signed contradict each other. */
export type AlarmKind = 'Forked' | 'Shortened';

/** Evidence against a coordinator: two heads under one signature. Whoever holds the key of the log can check it. */
export interface LedgerAlarm {
  readonly kind: AlarmKind;
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  /** The head that the agent had verified. */
  readonly kept: SignedTreeHead;
  /** The one that does not continue it, or that it does not continue. */
  readonly shown: SignedTreeHead;
  /** How the site's people have settled it; until then the agent does nothing for the coordinator. */
  readonly resolved?: AlarmChoice;
}

/** Which of the two histories counts from here on. */
export type AlarmChoice = 'Keep' | 'Accept';

/** The code of the alarm in the error table. */
export const alarmCode = ({ kind }: Pick<LedgerAlarm, 'kind'>): ErrorCode =>
  kind === 'Forked' ? 'LEDGER_FORKED' : 'LEDGER_SHORTENED';

/** What every step for this coordinator ends with while the alarm is open. */
export function alarmError(alarm: LedgerAlarm): TributaryError {
  const [kept, shown] = [String(alarm.kept.treeSize), String(alarm.shown.treeSize)];
  const detail =
    alarm.kind === 'Forked'
      ? `the log of ${shown} entries that the coordinator shows contradicts the one of ${kept} that was seen before`
      : `the log has shrunk from ${kept} to ${shown} entries: restored from an old backup?`;
  return new TributaryError(alarmCode(alarm), detail, {
    hint: 'Look at `tributary-agent log forks`, ask the operator, then settle it with `tributary-agent log resolve`.',
    fields: { fork: true },
  });
}
