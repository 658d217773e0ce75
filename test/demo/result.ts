import type { Gain, GainInterval } from './gain.js';
import type { PredictionFigures } from './replay/predictions.js';

/** AUC on a site's own test split, mean over the fixed splits, with the mean of the splits' 95 % bootstrap intervals. */
export interface SiteResult {
  readonly site: string;
  readonly trainRows: number;
  readonly testRows: number;
  readonly local: Estimate;
  readonly federated: Estimate;
  readonly pooled: Estimate;
  /** Federated minus alone. */
  readonly gain: Gain;
}

export interface Estimate {
  readonly auc: number;
  readonly low: number;
  readonly high: number;
}

/** What pipelines without a model made of a signal. */
export interface StreamFigures {
  /** Published. */
  readonly messages: number;
  /** That the signal lasts. */
  readonly signalSeconds: number;
  /** How many times faster than that it was replayed. */
  readonly speed: number;
  readonly beats: number;
  /** A minute, by the mean interval between beats. */
  readonly heartRateMean: number;
  /** Raised, of tachycardia. */
  readonly alarms: number;
  /** Windows that did not come. */
  readonly lost: number;
  /** Milliseconds from publishing the samples that complete a beat to the beat at a subscriber. */
  readonly p99Ms: number;
}

export interface DemoResult {
  readonly demo: string;
  readonly ok: boolean;
  /** Why not ok; empty where ok. */
  readonly failures: readonly string[];
  readonly sites: readonly SiteResult[];
  /** Rounds committed over all splits. */
  readonly rounds: number;
  readonly splits: number;
  /** Means over sites and splits. */
  readonly auc: { readonly local: number; readonly federated: number; readonly pooled: number };
  /** Federated minus alone: the mean over sites, on the same test rows. */
  readonly gain: GainInterval;
  /** Rows that are in no table: why, and how many. */
  readonly leftOut?: { readonly why: string; readonly rows: number };
  readonly updates: { readonly sent: number; readonly accepted: number; readonly lost: number };
  readonly bytesUp: number;
  /** Of the federated model, on the streams of the sites. */
  readonly predictions: PredictionFigures;
  readonly stream?: StreamFigures;
  readonly seconds: number;
  /** Where to look afterwards: what, and a path or address. */
  readonly places: readonly (readonly [what: string, where: string])[];
}

export interface DemoOptions {
  /** Leave the daemons running until the process is interrupted. */
  readonly keep: boolean;
  readonly say: (line: string) => void;
  /** Told what arrives on the streams, for people who watch. */
  readonly live?: (line: string) => void;
  /** Called with the result before the daemons are stopped. */
  readonly finished: (result: DemoResult) => void;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
