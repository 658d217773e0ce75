import { intervalOf, type GainInterval } from './gain.js';
import type { DemoResult, Estimate } from './result.js';

/** The most by which federated training may fall behind pooled training, in AUC. */
export const POOLED_MARGIN = 0.01;

const estimate = ({ auc, low, high }: Estimate): string =>
  `${auc.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;

const signed = (value: number): string => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(4)}`;
const difference = ({ mean, low, high }: GainInterval): string =>
  `${signed(mean)} [${signed(low)}, ${signed(high)}]`;

/** What the test rows can and cannot show of the gain. */
function gainLines({ gain, sites }: DemoResult): string[] {
  const verdict =
    gain.low > 0
      ? 'more than chance'
      : gain.high < 0
        ? 'a loss'
        : 'within chance: these test rows cannot tell it from no difference';
  return [
    `Federated minus alone, on the same rows, with 95 % interval (DeLong): ${difference(gain)}, ${verdict}.`,
    `  by site: ${sites.map((site) => `${site.site} ${difference(intervalOf(site.gain))}`).join('; ')}`,
  ];
}

/** What arrived on the streams. */
function streamLines({ predictions, stream }: DemoResult): string[] {
  const { sent, answered, p50Ms, p99Ms, coherence } = predictions;
  const lines = [
    `predictions on the streams: ${String(sent)} records sent, ${String(answered)} answered, ` +
      `${p50Ms.toFixed(1)} ms at the median, ${p99Ms.toFixed(1)} ms at the 99th percentile; ` +
      `scores as evaluated, to ${coherence.scoreDifference.toExponential(0)}`,
  ];
  if (stream === undefined) return lines;
  const { messages, signalSeconds, speed, beats, heartRateMean, alarms, lost } = stream;
  return [
    ...lines,
    `ECG: ${(signalSeconds / 60).toFixed(0)} minutes in ${String(messages)} messages, ${String(speed)} times as fast: ` +
      `${String(beats)} beats, heart rate ${heartRateMean.toFixed(1)}, ${String(alarms)} alarms of tachycardia; ` +
      `${String(lost)} windows lost, ${stream.p99Ms.toFixed(1)} ms at the 99th percentile`,
  ];
}

/** The closing table for people. */
export function resultTable(result: DemoResult): string[] {
  const rows = [
    ['SITE', 'TRAIN', 'TEST', 'ALONE', 'FEDERATED', 'POOLED (reference)'],
    ...result.sites.map((site) => [
      site.site,
      String(site.trainRows),
      String(site.testRows),
      estimate(site.local),
      estimate(site.federated),
      estimate(site.pooled),
    ]),
    [
      'mean',
      '',
      '',
      result.auc.local.toFixed(4),
      result.auc.federated.toFixed(4),
      result.auc.pooled.toFixed(4),
    ],
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 2))
      .join('')
      .trimEnd(),
  );
  const { sent, accepted, lost } = result.updates;
  return [
    '',
    `AUC on each site's own test rows: means over ${String(result.splits)} fixed splits, with the mean of their 95 % bootstrap intervals.`,
    '',
    ...lines,
    '',
    ...gainLines(result),
    ...(result.leftOut ? [`Left out: ${String(result.leftOut.rows)} records, ${result.leftOut.why}.`] : []),
    '',
    `${String(result.rounds)} rounds; updates: ${String(sent)} sent, ${String(accepted)} accepted, ${String(lost)} lost; ` +
      `${(result.bytesUp / 1e6).toFixed(2)} MB sent by the sites; ${result.seconds.toFixed(0)} s`,
    ...streamLines(result),
    ...result.places.map(([what, where]) => `${what.padEnd(9)}${where}`),
    '',
    result.ok
      ? `ok: federated is at least alone and within ${String(POOLED_MARGIN)} of pooled; nothing was lost; streams answer as evaluated`
      : `not ok: ${result.failures.join('; ')}`,
  ];
}

const sixDigits = (value: number): number => Number(value.toFixed(6));
const twoDigits = (value: number): number => Number(value.toFixed(2));

/** The one line for programs. */
export function resultJson(result: DemoResult): string {
  const { demo, ok, rounds, updates, bytesUp, predictions, stream, seconds } = result;
  const auc = {
    local: sixDigits(result.auc.local),
    federated: sixDigits(result.auc.federated),
    pooled: sixDigits(result.auc.pooled),
  };
  const gain = {
    mean: sixDigits(result.gain.mean),
    low: sixDigits(result.gain.low),
    high: sixDigits(result.gain.high),
  };
  return JSON.stringify({
    demo,
    ok,
    sites: result.sites.length,
    rounds,
    auc,
    gain,
    ...(result.leftOut && { leftOut: result.leftOut.rows }),
    updates,
    bytesUp,
    predictions: {
      sent: predictions.sent,
      answered: predictions.answered,
      p99Ms: twoDigits(predictions.p99Ms),
    },
    ...(stream && {
      stream: { ...stream, heartRateMean: twoDigits(stream.heartRateMean), p99Ms: twoDigits(stream.p99Ms) },
    }),
    seconds: Number(seconds.toFixed(1)),
  });
}

/** What keeps a result from being ok. */
export function failuresOf(result: Pick<DemoResult, 'auc' | 'updates'>): string[] {
  const { local, federated, pooled } = result.auc;
  const failures: string[] = [];
  if (!(federated >= local))
    failures.push(`federated ${federated.toFixed(4)} is below alone ${local.toFixed(4)}`);
  if (!(federated >= pooled - POOLED_MARGIN))
    failures.push(
      `federated ${federated.toFixed(4)} is more than ${String(POOLED_MARGIN)} below pooled ${pooled.toFixed(4)}`,
    );
  if (result.updates.lost !== 0) failures.push(`${String(result.updates.lost)} updates were lost`);
  return failures;
}
