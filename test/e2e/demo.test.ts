import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';

import { parseFederatedJob, parseStreamPipeline } from '@tributary/proto';
import { stringify } from 'yaml';

import type { DemoPlan } from '../demo/demo-plan.js';
import { runDemo } from '../demo/federated-demo.js';
import { ward } from '../demo/hospital/ward.js';
import { resultJson } from '../demo/report.js';
import type { DemoResult } from '../demo/result.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { pipelineDocument } from '../support/stream-pipeline.js';

const ROWS = 400;
/** Of the ECG: a minute. */
const MESSAGES = 600;

/** Two sites that see other halves of the square; one of them has a bed. */
async function plan(): Promise<DemoPlan> {
  const site = (name: string, seed: number, part: readonly [number, number]) => ({
    name,
    csv: pointsOf(seed, ROWS, part).csv,
    labels: {},
  });
  const document = pipelineDocument({
    model: { name: 'points', output: 'far' },
    source: { broker: 'site', topics: ['points/{point}/record'] },
    payload: {
      type: 'Json',
      columns: { x: 'x', y: 'y', color: 'color' },
      id: 'id',
      time: { type: 'Path', path: 'at' },
    },
    key: 'points',
    result: { topic: 'points/{point}/answer' },
  });
  return {
    name: 'points',
    federation: 'points',
    dataset: 'points',
    rows: 'points',
    sites: [site('east', 1, [-1, 0.2]), site('west', 2, [-0.2, 1])],
    jobs: [parseFederatedJob(pointsJob('points', { minSites: 2 }))],
    records: { file: 'records.yaml', text: stringify(document), document: parseStreamPipeline(document) },
    replaySeconds: 1,
    stream: await ward('west', MESSAGES),
  };
}

/** The demos' own program on a small federation: what their result says of the streams, it must have seen. */
describe('a demo', function () {
  this.timeout(180_000);
  const live: string[] = [];
  let result: DemoResult;

  before(async () => {
    const options = {
      keep: false,
      say: () => undefined,
      live: (line: string) => void live.push(line),
      finished: () => undefined,
    };
    result = await runDemo(await plan(), options);
  });

  after(async function () {
    const folder = new Map(result.places).get('data') ?? '';
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${folder}`);
    else await rm(folder, { recursive: true });
  });

  it('has every held-out record answered by the rolled-out version, with the score of its evaluation', () => {
    assert.deepEqual(result.failures, []);
    const { sent, answered, doubled, p99Ms, coherence } = result.predictions;
    assert.equal(
      sent,
      result.sites.reduce((sum, { testRows }) => sum + testRows, 0),
    );
    assert.deepEqual([answered, doubled, coherence.otherVersions], [sent, 0, 0]);
    assert.ok(sent > 150 && coherence.scoreDifference < 1e-6 && coherence.aucDifference < 1e-6);
    assert.ok(p99Ms > 0 && p99Ms < 5_000, String(p99Ms));
  });

  it('finds the beats of an ECG, counts them, and raises and clears the alarm', () => {
    assert.equal(result.stream?.messages, MESSAGES);
    assert.equal(result.stream.lost, 0);
    assert.ok(result.stream.beats > 90 && result.stream.beats < 115, String(result.stream.beats));
    assert.ok(Math.abs(result.stream.heartRateMean - 108) < 4, String(result.stream.heartRateMean));
    assert.equal(result.stream.alarms, 1);
  });

  it('shows some of what arrives, and ends with a line for programs', () => {
    assert.ok(live.some((line) => /^(east|west) +#\d+ +score 0\.\d{4} +points@1/.test(line)));
    assert.ok(live.some((line) => /^bed 7 +tachycardia raised at 0:15/.test(line)));
    assert.ok(live.some((line) => /^bed 7 +minute 1: \d+ beats, heart rate \d+/.test(line)));
    assert.ok(live.length < 30, String(live.length));
    const { ok, predictions } = JSON.parse(resultJson(result)) as Record<string, unknown>;
    assert.equal(ok, true);
    const { sent, answered, p99Ms } = result.predictions;
    assert.deepEqual(predictions, { sent, answered, p99Ms: Number(p99Ms.toFixed(2)) });
  });
});
