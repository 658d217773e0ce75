import { join } from 'node:path';

import { PredictionDirectory } from '@tributary/edge-agent/internal/adapters/decisions/prediction-directory.js';
import { openDataDirectory } from '@tributary/edge-agent/internal/adapters/files/data-directory.js';
import { WorkerPredictor } from '@tributary/edge-agent/internal/adapters/inference/worker-predictor.js';
import { createLog } from '@tributary/edge-agent/internal/adapters/logs/pino-log.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';
import { readPipelines } from '@tributary/edge-agent/internal/commands/pipeline-files.js';
import { openPipelines } from '@tributary/edge-agent/internal/commands/pipelines.js';

import { localBroker } from './mqtt-ends.js';
import { loadOf, registeredModel } from './served-model.js';
import { eventually } from './waiting.js';

const KEY = new Uint8Array(32).fill(3);

/*
 * The streams of an agent without its coordinator, in a process that is there to be killed: everything is as the agent has
 * it, and the model `trial` answers. Arguments: folder, port of the broker `local`, MQTT version, files of pipelines.
 */
async function serve(folder: string, port: number, protocol: 'V3' | 'V5', files: string[]): Promise<void> {
  const brokers = [localBroker(port, protocol)];
  const documents = await readPipelines({ pipelines: files, brokers });
  const data = await openDataDirectory(join(folder, 'data'), join(folder, 'seal.key'));
  const predictor = new WorkerPredictor();
  await predictor.load(loadOf(registeredModel()));
  predictor.activate({ name: 'trial', version: 1 });
  const predictions = new PredictionDirectory({
    directory: data.predictionsDir,
    key: KEY,
    now: () => Date.now(),
  });
  const pipelines = await openPipelines({
    config: { brokers },
    data,
    key: KEY,
    documents,
    predictor,
    predictions,
    clock: systemClock,
    log: createLog('info'),
  });
  await eventually('the subscriptions', () =>
    pipelines.status().every(({ state }) => state === 'Running') ? true : undefined,
  );
  process.send?.('ready');
  process.once('message', () => {
    process.send?.(pipelines.status());
  });
  process.once('SIGTERM', () => {
    pipelines
      .close()
      .then(() => predictions.close())
      .then(() => predictor.close())
      .then(() => data.close())
      .then(() => process.exit(0))
      .catch((error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        process.exit(1);
      });
  });
}

const [, script, folder, port, protocol, ...files] = process.argv;
if (script === import.meta.filename && folder !== undefined)
  await serve(folder, Number(port), protocol === 'V3' ? 'V3' : 'V5', files);
