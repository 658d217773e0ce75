import { LIMITS, TributaryError, type FederatedJobSpec } from '@tributary/proto';

/** One stage of a mode: what its sites report, and its share of the time that a round has. */
export interface StagePlan {
  readonly name: string;
  /** An update through the upload path, or one small message. */
  readonly reports: 'update' | 'message';
  /** Part of the round's deadline, more than 0; the shares of a mode add up to 1. */
  readonly share: number;
}

/** How a round gathers updates: named stages, one after the other; only who took part in one is in the next. */
export interface AggregationMode {
  readonly name: string;
  readonly stages: readonly StagePlan[];
}

/** Updates in the clear (inside the envelope to the coordinator): McMahan et al., AISTATS 2017. */
const PLAIN: AggregationMode = {
  name: 'plain',
  stages: [{ name: 'collect', reports: 'update', share: 1 }],
};

/**
 * Updates that only their sum tells: SecAgg (Bonawitz et al., CCS 2017). Sites train while keys and shares are exchanged,
 * so that the first stages take no time from the third.
 */
export const SECURE: AggregationMode = {
  name: 'secure',
  stages: [
    { name: 'advertise', reports: 'message', share: 0.1 },
    { name: 'share', reports: 'message', share: 0.1 },
    { name: 'mask', reports: 'update', share: 0.6 },
    { name: 'agree', reports: 'message', share: 0.1 },
    { name: 'unmask', reports: 'message', share: 0.1 },
  ],
};

/** Stages in which a site reports by an upload, by name: the ledger names stages, and old entries keep their meaning. */
const UPDATE_STAGES: ReadonlySet<string> = new Set(['collect', 'mask']);

/** True where the stage takes uploads, false where it takes messages. */
export function gathersUpdates(stage: string): boolean {
  return UPDATE_STAGES.has(stage);
}

/** Refuses a mode that the machine cannot run; a mistake of this program, so INTERNAL. */
export function checkMode(mode: AggregationMode): AggregationMode {
  const names = mode.stages.map(({ name }) => name);
  const updates = mode.stages.filter(({ reports }) => reports === 'update');
  const sound =
    new Set(names).size === names.length &&
    updates.length === 1 &&
    mode.stages.every(
      ({ name, reports, share }) => share > 0 && gathersUpdates(name) === (reports === 'update'),
    );
  if (sound) return mode;
  throw new TributaryError('INTERNAL', `mode ${mode.name} needs distinct stages, one of them with updates`);
}

/**
 * The stages of `mode` as `round.opened` records them, with the deadlines (milliseconds) and minimum of the job. Once the
 * updates are in, `afterwards` is enough, where fewer can finish what is begun.
 */
export function planStages(
  mode: AggregationMode,
  roundDeadlineMs: number,
  minimum: number,
  afterwards = minimum,
): { name: string; deadlineMs: number; minimum: number }[] {
  const { stages } = checkMode(mode);
  const updates = stages.findIndex(({ reports }) => reports === 'update');
  return stages.map(({ name, share }, index) => ({
    name,
    deadlineMs: Math.max(1, Math.floor(roundDeadlineMs * share)),
    minimum: index > updates ? afterwards : minimum,
  }));
}

/** The mode that a job asks for. What this version does not serve was refused when the document was parsed. */
export function modeOf({ mode, privacy }: Pick<FederatedJobSpec, 'mode' | 'privacy'>): AggregationMode {
  switch (mode.type) {
    case 'Sync':
      return privacy.secureAggregation ? SECURE : PLAIN;
  }
}

/** Milliseconds to wait before attempt `attempt` of a round; the first begins at once. */
export function retryDelayMs(attempt: number): number {
  return attempt === 0 ? 0 : LIMITS.roundRetryDelayMs * 2 ** Math.min(attempt - 1, 8);
}
