import { quantileOf } from '../../support/stream-exchange.js';
import { coherenceOf, TOLERANCE, type Coherence } from './coherence.js';
import { replaySite, type ReplayedSite, type ReplayOptions, type SiteReplay } from './site-replay.js';

/** What the replay of the held-out records showed, over all sites. */
export interface PredictionFigures {
  readonly sent: number;
  /** Records with an answer. */
  readonly answered: number;
  /** Records with answers of several decisions. */
  readonly doubled: number;
  /** Milliseconds from publishing a record to its answer at a subscriber. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The worst of the sites. */
  readonly coherence: Coherence;
}

/** Replays the held-out records of all sites at the same time, each through its own broker and agent. */
export async function replayAll(
  sites: readonly ReplayedSite[],
  options: ReplayOptions,
): Promise<PredictionFigures> {
  const replays = await Promise.all(sites.map((site) => replaySite(site, options)));
  const coherences = replays.map((replay, index) =>
    coherenceOf(replay, sites[index]?.records ?? [], options.served),
  );
  return { ...totalOf(replays), coherence: worstOf(coherences) };
}

function totalOf(replays: readonly SiteReplay[]): Omit<PredictionFigures, 'coherence'> {
  const total = (of: (replay: SiteReplay) => number): number =>
    replays.reduce((sum, replay) => sum + of(replay), 0);
  const latencies = Float64Array.from(replays.flatMap((replay) => [...replay.latencies]));
  return {
    sent: total(({ figures }) => figures.sent),
    answered: total(({ figures }) => figures.answered),
    doubled: total(({ figures }) => figures.doubled),
    p50Ms: quantileOf(latencies, 0.5),
    p99Ms: quantileOf(latencies, 0.99),
  };
}

/** NaN, where a site answered nothing, is worse than any number. */
function worstOf(all: readonly Coherence[]): Coherence {
  return {
    scoreDifference: Math.max(...all.map(({ scoreDifference }) => scoreDifference)),
    aucDifference: Math.max(...all.map(({ aucDifference }) => aucDifference)),
    otherVersions: all.reduce((sum, { otherVersions }) => sum + otherVersions, 0),
  };
}

/** What keeps predictions from being right. */
export function predictionFailures({ sent, answered, doubled, coherence }: PredictionFigures): string[] {
  const { scoreDifference, aucDifference, otherVersions } = coherence;
  const failures: string[] = [];
  if (answered !== sent) failures.push(`${String(sent - answered)} records got no answer`);
  if (doubled !== 0) failures.push(`${String(doubled)} records were decided more than once`);
  if (otherVersions !== 0)
    failures.push(`${String(otherVersions)} answers are of a version that was not rolled out`);
  if (!(scoreDifference <= TOLERANCE))
    failures.push(`a score of the stream is ${scoreDifference.toExponential(1)} off its evaluation`);
  if (!(aucDifference <= TOLERANCE))
    failures.push(`the AUC of the stream is ${aucDifference.toExponential(1)} off its evaluation`);
  return failures;
}
