import type { FederatedJob } from '@tributary/proto';

import type { PlannedPipeline } from './replay/planned-pipeline.js';
import type { StreamFigures } from './result.js';

/** One site of a demo: its file, and how its agent declares it. */
export interface PlannedSite {
  readonly name: string;
  /** Text of the file at the site, as the site keeps it. */
  readonly csv: string;
  /** SQL over `source` that makes the table of the job; without it, the file is that table. */
  readonly view?: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Streams of one site that no model answers. */
export interface PlannedStream {
  readonly site: string;
  readonly pipelines: readonly PlannedPipeline[];
  /** Replays them through the broker at `port`. */
  readonly replay: (
    port: number,
    say: (line: string) => void,
  ) => Promise<{ readonly figures: StreamFigures; readonly failures: readonly string[] }>;
}

/** What a demo shows. */
export interface DemoPlan {
  readonly name: string;
  /** Of the federation. */
  readonly federation: string;
  readonly dataset: string;
  /** What a row is, in the plural. */
  readonly rows: string;
  readonly sites: readonly PlannedSite[];
  /** One a split: the same document under another name, model name and split seed. */
  readonly jobs: readonly FederatedJob[];
  /** Answers records at every site, by the model of the first job. */
  readonly records: PlannedPipeline;
  /** Over which the held-out records of a site arrive: slow enough to be watched. */
  readonly replaySeconds: number;
  readonly stream?: PlannedStream;
  /** Rows of the files that are in no table: what for, and how many. */
  readonly leftOut?: { readonly why: string; readonly rows: number };
}
