import { entriesOf } from '../../support/ledger-audit.js';
import { breach, type Breach, type Facts } from './facts.js';
import { judgeLedger } from './ledger.js';
import { judgeModels, judgeTrainings } from './models.js';
import { judgeJobs, judgeReceipts, judgeUpdates } from './rounds.js';

/** The recovery contract, on what a case left behind. None: it held. */
export function judge(facts: Facts): readonly Breach[] {
  return [
    ...judgeLedger(facts),
    ...judgeJobs(facts),
    ...judgeUpdates(facts),
    ...judgeReceipts(facts),
    ...judgeModels(facts),
    ...judgeTrainings(facts),
    ...facts.complaints.map((complaint) => breach('process', complaint)),
  ];
}

/** How many updates the ledger accepted. */
export const acceptedUpdates = ({ entries }: Pick<Facts, 'entries'>): number =>
  entriesOf(entries, 'update.accepted').length;
