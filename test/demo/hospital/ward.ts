import type { PlannedStream } from '../demo-plan.js';
import { pipelineAt } from '../replay/planned-pipeline.js';
import { ecgMessages } from './ecg-record.js';
import { replayEcg } from './ecg-stream.js';

const MINUTE_MS = 60_000;
/** Whole minutes before now at which the record begins: devices are never ahead of the clock of their site. */
const MINUTES_AGO = 6;
const SPEED = 30;

/**
 * A ward of a hospital whose agent finds heart beats in the ECG of one bed, and watches over the heart rate. `length`: of
 * the record, in messages; all of it by default.
 */
export async function ward(site: string, length?: number): Promise<PlannedStream> {
  const beats = await pipelineAt('test/demo/hospital/beats.yaml');
  const heartRate = await pipelineAt('test/demo/hospital/heart-rate.yaml');
  return {
    site,
    pipelines: [beats, heartRate],
    replay: async (port, say) => {
      const startMs = (Math.floor(Date.now() / MINUTE_MS) - MINUTES_AGO) * MINUTE_MS;
      const messages = (await ecgMessages(startMs)).slice(0, length);
      say(`${site}: publishing the ECG of a bed, ${String(SPEED)} times as fast as the heart beats`);
      return replayEcg({ port, bed: '7', beats, heartRate, messages, speed: SPEED, say });
    },
  };
}
