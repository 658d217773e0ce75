import {
  canonicalize,
  compileFeatures,
  float32ToBytes,
  outputOf,
  TributaryError,
  type JsonValue,
} from '@tributary/proto';

import { measureAll } from '../../../domain/metrics/subgroups.js';
import { DatasetCache } from '../../datasets/dataset-cache.js';
import { loadDataset, type EncodedDataset } from '../../datasets/encoded-dataset.js';
import type { EncodedRows } from '../../datasets/encoded-rows.js';
import type { TaskRequest, WorkerReply, WorkerRequest, WorkerResult } from '../messages.js';
import type { RequestRunner } from '../request-server.js';
import { isStopped, requireRunning } from '../stop-word.js';
import { encodeFrame, TO_TRAINER } from './frames.js';
import { AnswerReader, type Expected, type TrainerAnswer } from './trainer-answer.js';
import { connectTrainer, exchange, type ConnectionLimits } from './trainer-connection.js';

/** Version of what is said over the socket. */
export const TRAINER_PROTOCOL = 1;

/** Before the trainer's own bytes in a checkpoint: those of another kind of trainer, or of other rows, are none of it. */
const checkpointMark = ({ dataVersion }: EncodedDataset): Buffer => Buffer.from(`TBX1 ${dataVersion}\n`);

/** Bytes of a frame of rows or weights. */
const PIECE_BYTES = 256 * 1024;

export interface SocketSettings extends ConnectionLimits {
  readonly path: string;
}

type Report = (reply: WorkerReply) => void;

/** Gives every task to the process behind a socket: it gets encoded rows and numbers, never a file of the site. */
export class SocketRunner implements RequestRunner {
  readonly #settings: SocketSettings;
  readonly #datasets = new DatasetCache(loadDataset);

  constructor(settings: SocketSettings) {
    this.#settings = settings;
  }

  async run(
    request: WorkerRequest,
    report: Report,
  ): Promise<{ readonly result: WorkerResult; readonly tensors: number }> {
    if (request.kind === 'explain')
      throw new TributaryError('USAGE', 'a trainer behind a socket chooses its backend by itself');
    const stopped = (): boolean => isStopped(request.stop);
    const dataset = await this.#datasets.get(request, () => requireRunning(request.stop));
    const expected = expectedOf(request, dataset);
    const mark = checkpointMark(dataset);
    const reader = new AnswerReader(expected, {
      progress: (percent) => report({ type: 'progress', percent }),
      checkpoint: (bytes) => {
        if (request.checkpointEveryMs !== undefined)
          report({ type: 'checkpoint', bytes: new Uint8Array(Buffer.concat([mark, bytes])) });
      },
    });
    const { path, startMs } = this.#settings;
    const limits = {
      ...this.#settings,
      taskMs: Math.min(this.#settings.taskMs, request.spec.roundDeadlineSeconds * 1_000),
    };
    const socket = await connectTrainer(path, startMs, stopped);
    const answer = await exchange(socket, taskFrames(request, dataset, expected), reader, limits, stopped);
    return { result: resultOf(request, dataset, expected, answer), tensors: 0 };
  }
}

function expectedOf({ kind, spec, layout }: TaskRequest, { train, test }: EncodedDataset): Expected {
  return {
    kind,
    parameters: layout.length,
    trainRows: train.rows,
    testRows: test.rows,
    outputs: outputOf(spec.task).units,
    probabilities: spec.task.type !== 'Regression',
  };
}

function* taskFrames(
  request: TaskRequest,
  dataset: EncodedDataset,
  expected: Expected,
): Generator<Uint8Array> {
  const { spec, layout, round, weights, kind, fit } = request;
  const resume = ownCheckpoint(request.resume, checkpointMark(dataset));
  const { shape } = compileFeatures(spec.features, fit);
  const task = {
    protocol: TRAINER_PROTOCOL,
    kind: kind === 'train' ? 'Train' : 'Evaluate',
    round,
    spec,
    layout,
    shape,
    outputs: expected.outputs,
    trainRows: kind === 'train' ? expected.trainRows : 0,
    testRows: expected.testRows,
    checkpointBytes: resume?.length ?? 0,
  };
  yield encodeFrame(TO_TRAINER.task, canonicalize(JSON.parse(JSON.stringify(task)) as JsonValue));
  yield* pieces(TO_TRAINER.weights, float32ToBytes(weights));
  if (resume !== undefined) yield* pieces(TO_TRAINER.checkpoint, resume);
  if (kind === 'train') yield* rowFrames(TO_TRAINER.trainRows, dataset.train);
  yield* rowFrames(TO_TRAINER.testRows, dataset.test);
  yield encodeFrame(TO_TRAINER.begin);
}

function ownCheckpoint(bytes: Uint8Array | undefined, mark: Buffer): Uint8Array | undefined {
  const own = bytes !== undefined && mark.equals(bytes.subarray(0, mark.length));
  return own ? bytes.subarray(mark.length) : undefined;
}

function* pieces(kind: number, bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    yield encodeFrame(kind, bytes.subarray(at, at + PIECE_BYTES));
}

/** Whole rows: their inputs, then their label. */
function* rowFrames(kind: number, rows: EncodedRows): Generator<Uint8Array> {
  const stride = rows.width + 1;
  const rowsPerFrame = Math.max(1, Math.floor(PIECE_BYTES / (stride * Float32Array.BYTES_PER_ELEMENT)));
  const label = new Float32Array(1);
  for (let first = 0; first < rows.rows; first += rowsPerFrame) {
    const count = Math.min(rowsPerFrame, rows.rows - first);
    const values = new Float32Array(count * stride);
    for (let row = 0; row < count; row += 1) {
      const place = values.subarray(row * stride, (row + 1) * stride);
      rows.copyRow(first + row, 0, place, label);
      place[rows.width] = label[0] ?? Number.NaN;
    }
    yield encodeFrame(kind, float32ToBytes(values));
  }
}

function resultOf(
  { kind, spec, dataset: handle }: TaskRequest,
  dataset: EncodedDataset,
  { outputs, testRows }: Expected,
  { delta, scores, loss, examples }: TrainerAnswer,
): WorkerResult {
  const predictions = { scores, labels: labelsOf(dataset.test), outputs };
  if (kind === 'predict') return { kind, ...predictions };
  const places = dataset.subgroups.map(({ indices }) => indices);
  const measured = measureAll(spec.evaluation, predictions, places, handle.minCount);
  if (kind === 'evaluate') return { kind, examples: testRows, loss, ...measured };
  const { dataVersion } = dataset;
  return { kind, delta, examples, loss, testExamples: testRows, ...measured, dataVersion };
}

function labelsOf(rows: EncodedRows): Float32Array {
  const labels = new Float32Array(rows.rows);
  const scratch = new Float32Array(rows.width);
  for (let row = 0; row < rows.rows; row += 1) rows.copyRow(row, 0, scratch, labels.subarray(row, row + 1));
  return labels;
}
