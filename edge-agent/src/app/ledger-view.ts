import { encodeExportLine, headLine, type SignedTreeHead } from '@tributary/proto';

import { alarmError, type LedgerAlarm } from '../domain/ledger-alarm.js';

/** What the commands of the site show of the coordinator's log. Heads are lines as exports of the ledger have them. */
export interface LedgerView {
  readonly formatVersion: 1;
  /** Empty where none was verified yet. */
  readonly head: string;
  readonly alarms: readonly {
    readonly code: string;
    readonly detail: string;
    readonly time: string;
    /** Empty while it is open. */
    readonly resolved: string;
    readonly kept: string;
    readonly shown: string;
  }[];
}

export function ledgerView(head: SignedTreeHead | undefined, alarms: readonly LedgerAlarm[]): LedgerView {
  return {
    formatVersion: 1,
    head: head === undefined ? '' : lineOf(head),
    alarms: alarms.map((alarm) => {
      const { code, message: detail } = alarmError(alarm);
      const { time, kept, shown, resolved = '' } = alarm;
      return { code, detail, time, resolved, kept: lineOf(kept), shown: lineOf(shown) };
    }),
  };
}

const lineOf = (head: SignedTreeHead): string => new TextDecoder().decode(encodeExportLine(headLine(head)));
