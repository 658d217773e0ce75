import type { PlannedSite } from '../demo-plan.js';

/** Three years in days. */
const HORIZON = 1_095.75;
/** Last year of surgery of the first of the two Rotterdam sites: halves of about the same size. */
const LAST_EARLY_YEAR = 1988;

type Days = Readonly<Record<string, number>>;

/** Relapse or death within the horizon; undefined where nobody knows, since the record ends before. */
type Outcome = (record: Days) => boolean | undefined;

/**
 * A death counts whenever it is known. Being free of relapse counts as far as relapse was followed: 43 records go on to a
 * later death after that (R package survival, ?rotterdam), which says nothing of the years between.
 */
const rotterdamOutcome: Outcome = ({ rtime = 0, recur, dtime = 0, death }) => {
  if ((recur === 1 && rtime <= HORIZON) || (death === 1 && dtime <= HORIZON)) return true;
  return rtime >= HORIZON ? false : undefined;
};

const gbsgOutcome: Outcome = ({ rfstime = 0, status }) => {
  if (status === 1 && rfstime <= HORIZON) return true;
  return rfstime >= HORIZON ? false : undefined;
};

const COMMON = 'age, meno, grade, nodes, pgr, er, hormon';

/** The site's own SQL: the records whose outcome is known, with the columns that all three have. */
const ROTTERDAM_VIEW = `
SELECT ${COMMON}, size AS size_class,
  CASE WHEN (recur = '1' AND CAST(rtime AS DOUBLE) <= ${String(HORIZON)})
         OR (death = '1' AND CAST(dtime AS DOUBLE) <= ${String(HORIZON)}) THEN 'yes' ELSE 'no' END AS event
FROM source
WHERE CAST(rtime AS DOUBLE) >= ${String(HORIZON)}
   OR (recur = '1' AND CAST(rtime AS DOUBLE) <= ${String(HORIZON)})
   OR (death = '1' AND CAST(dtime AS DOUBLE) <= ${String(HORIZON)})`;

/** The same of records that give the size in millimetres, and relapse and death as one event. */
const GBSG_VIEW = `
SELECT ${COMMON},
  CASE WHEN CAST(size AS DOUBLE) <= 20 THEN '<=20' WHEN CAST(size AS DOUBLE) <= 50 THEN '20-50' ELSE '>50' END AS size_class,
  CASE WHEN status = '1' AND CAST(rfstime AS DOUBLE) <= ${String(HORIZON)} THEN 'yes' ELSE 'no' END AS event
FROM source
WHERE CAST(rfstime AS DOUBLE) >= ${String(HORIZON)} OR status = '1'`;

interface Table {
  readonly header: string;
  readonly rows: readonly string[];
  readonly record: (row: string) => Days;
}

/** A CSV text that quotes no cell. */
function tableOf(csv: string): Table {
  const [header = '', ...rows] = csv.split(/\r?\n/).filter((line) => line !== '');
  const names = header.split(',');
  const record = (row: string): Days =>
    Object.fromEntries(row.split(',').map((cell, index) => [names[index] ?? '', Number(cell)]));
  return { header, rows, record };
}

const textOf = (header: string, rows: readonly string[]): string => `${[header, ...rows].join('\n')}\n`;

const censoredIn = ({ rows, record }: Table, outcome: Outcome): number =>
  rows.filter((row) => outcome(record(row)) === undefined).length;

/** The three sites, each with its records as they are, and how many of all records end too early to be used. */
export function hospitals(
  rotterdam: string,
  gbsg: string,
): { readonly sites: readonly PlannedSite[]; readonly censored: number } {
  const [bank, study] = [tableOf(rotterdam), tableOf(gbsg)];
  const operatedBy = (early: boolean): string =>
    textOf(
      bank.header,
      bank.rows.filter((row) => (bank.record(row)['year'] ?? 0) <= LAST_EARLY_YEAR === early),
    );
  const labels = { kind: 'hospital' };
  return {
    sites: [
      { name: 'rotterdam-1978-1988', csv: operatedBy(true), view: ROTTERDAM_VIEW, labels },
      { name: 'rotterdam-1989-1993', csv: operatedBy(false), view: ROTTERDAM_VIEW, labels },
      { name: 'gbsg', csv: gbsg, view: GBSG_VIEW, labels },
    ],
    censored: censoredIn(bank, rotterdamOutcome) + censoredIn(study, gbsgOutcome),
  };
}
