import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { nativeFault } from '@tributary/edge-agent/internal/adapters/training/native-backend.js';
import type { Refusal } from '@tributary/edge-agent/internal/adapters/training/probe.js';
import { tryInProcess } from '@tributary/edge-agent/internal/adapters/training/probe-process.js';
import { requireRealAdapter } from '@tributary/edge-agent/internal/adapters/training/webgpu-backend.js';
import { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import { stringify } from 'yaml';

import { BINARIES, runCommand } from '../support/daemon.js';
import { writeStandIn, type StandIn } from '../support/stand-in-binding.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';
import { datasetHandle, modelOf, trainingSpec, trialCsv } from '../support/training-job.js';

const FAILURES: readonly [StandIn, RegExp][] = [
  ['halfInstalled', /^it cannot be loaded; run `npm rebuild/],
  ['dependencyMissing', /^a package that it needs is not installed$/],
  ['symbolMissing', /exit code 127\): a symbol or library is missing$/],
  ['instructionMissing', /SIGILL\): it uses an instruction that this processor lacks$/],
  ['crash', /^its binding ended the process \(SIGABRT\)$/],
  ['noGpu', /^it reports no GPU/],
  ['wrongNode', /^a trial step failed \(TypeError\)$/],
  ['gradientKernelMissing', /^the kernel Multiply is missing$/],
  ['notFinite', /^the loss of a trial step is not finite$/],
];

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('native backends (stand-ins for the binding: nothing here ran on CUDA)', function () {
  this.timeout(60_000);
  let folder: TemporaryDirectory;
  const spec = trainingSpec();
  const { layout } = modelOf(spec);
  const model = { spec, layout, input: [5] };

  before(async () => {
    folder = await temporaryDirectory();
    await writeFile(join(folder.path, 'trial.csv'), trialCsv(200));
  });
  after(() => folder.remove());

  const train = async (path: string) => {
    const refused: Refusal[] = [];
    const trainer = new WorkerTrainer({
      backends: ['native-gpu', 'wasm'],
      packages: { 'native-gpu': path },
      onFallback: (_, refusals) => refused.push(...refusals),
    });
    try {
      const { weights } = modelOf(spec);
      const { signal } = new AbortController();
      const dataset = datasetHandle(join(folder.path, 'trial.csv'));
      const { delta } = await trainer.train(
        { jobId: 'job-1', round: 1, spec, layout, weights, dataset, signal },
        { progress: () => undefined },
      );
      return { refused, delta, backend: trainer.backend };
    } finally {
      await trainer.close();
    }
  };

  for (const [kind, reason] of FAILURES) {
    it(`${kind}: the agent lives, says why, and trains on wasm`, async () => {
      const { refused, backend, delta } = await train(await writeStandIn(folder.path, kind));
      assert.equal(refused.length, 1);
      assert.match(refused[0]?.reason ?? '', reason);
      assert.equal(refused[0]?.absent, false);
      assert.doesNotMatch(JSON.stringify(refused), /secret/);
      assert.match(backend, / wasm$/);
      assert.ok(delta.some((change) => change !== 0));
    });
  }

  it('hang: the probe is given up and its process ended', async () => {
    const path = await writeStandIn(folder.path, 'hang');
    const begun = performance.now();
    const request = { backend: 'native-gpu', model, packages: { 'native-gpu': path } } as const;
    assert.match(
      (await tryInProcess(request, { timeoutMs: 2_000 })) ?? '',
      /did not take a trial step within 2 s/,
    );
    assert.ok(performance.now() - begun < 10_000);
  });

  it('hang: closing the trainer, or cancelling, ends the probe too, and the next training tries again', async () => {
    const path = await writeStandIn(folder.path, 'hang');
    for (const how of ['close', 'cancel'] as const) {
      await rm(join(path, 'pid'), { force: true });
      const trainer = new WorkerTrainer({
        backends: ['native-gpu', 'wasm'],
        packages: { 'native-gpu': path },
      });
      const controller = new AbortController();
      const dataset = datasetHandle(join(folder.path, 'trial.csv'));
      const train = (signal: AbortSignal): Promise<unknown> =>
        trainer
          .train(
            { jobId: 'job-1', round: 1, spec, layout, weights: modelOf(spec).weights, dataset, signal },
            { progress: () => undefined },
          )
          .catch((error: unknown) => error);
      const probe = (): Promise<number> =>
        eventually('the probe', async () => {
          const text = await readFile(join(path, 'pid'), 'utf8').catch(() => '');
          return text === '' ? undefined : Number(text);
        });
      const work = train(controller.signal);
      const pid = await probe();
      if (how === 'cancel') controller.abort();
      else await trainer.close();
      const error = await work;
      assert.equal((error as { code?: string }).code, how === 'cancel' ? 'JOB_CANCELLED' : 'SHUTTING_DOWN');
      await eventually('the end of the probe', () => (isRunning(pid) ? undefined : true), 30_000);
      if (how === 'close') continue;
      // What was cut short said nothing about the binding: the next training tries it again.
      await rm(join(path, 'pid'));
      const again = train(new AbortController().signal);
      assert.notEqual(await probe(), pid);
      await trainer.close();
      await again;
    }
  });

  it('missing: is told apart from broken', async () => {
    const { refused, backend } = await train(join(folder.path, 'nothing-here'));
    assert.deepEqual(refused, [
      { backend: 'native-gpu', reason: 'the package named in agent.yaml is not installed', absent: true },
    ]);
    assert.match(backend, / wasm$/);
    assert.match(
      nativeFault('native-gpu', {}) ?? '',
      /^@tensorflow\/tfjs-node-gpu is (not installed|installed without its binding: run `npm rebuild)/,
    );
  });

  it('wrong Node: is refused before anything is loaded', async () => {
    const packages = { 'native-gpu': await writeStandIn(folder.path, 'works') };
    assert.equal(nativeFault('native-gpu', packages, '23.1.0'), 'it runs on Node 20 and 22, not on 23.1.0');
    for (const version of ['20.20.2', '22.11.0'])
      assert.equal(nativeFault('native-gpu', packages, version), undefined);
  });

  it('works: is trained on, in the process of the agent, and agrees with wasm to 1e-5', async () => {
    const native = await train(await writeStandIn(folder.path, 'works'));
    assert.match(native.backend, / native-gpu$/);
    assert.deepEqual(native.refused, []);
    const wasm = await train(join(folder.path, 'nothing-here'));
    for (const [index, value] of native.delta.entries())
      assert.ok(Math.abs(value - (wasm.delta[index] ?? Number.NaN)) < 1e-5);
  });

  it('tributary-agent backends explains the choice and each refusal', async () => {
    const config = join(folder.path, 'agent.yaml');
    const gpu = await writeStandIn(folder.path, 'symbolMissing');
    const cpu = await writeStandIn(folder.path, 'works');
    const trainer = { type: 'Tfjs', nativeGpuPackage: gpu, nativeCpuPackage: cpu };
    await writeFile(config, stringify({ formatVersion: 1, dataDir: './data', trainer }));
    const { code, stdout, stderr } = await runCommand(BINARIES.agent, [
      'backends',
      '--config',
      config,
      '-o',
      'json',
    ]);
    assert.equal(code, 0, stderr);
    const { chosen, backends } = JSON.parse(stdout) as {
      chosen: string;
      backends: { backend: string; state: string; reason: string }[];
    };
    assert.equal(chosen, 'native-cpu');
    assert.deepEqual(
      backends.map(({ backend, state }) => [backend, state]),
      [
        ['native-gpu', 'Refused'],
        ['native-cpu', 'Chosen'],
        ['webgpu', 'NotNeeded'],
        ['wasm', 'NotNeeded'],
        ['cpu', 'NotNeeded'],
      ],
    );
    assert.match(backends[0]?.reason ?? '', /127/);
    const shown = await runCommand(BINARIES.agent, ['backends', '--config', config]);
    assert.match(shown.stdout, /^native-gpu +Refused +its binding ended the process/m);
    assert.match(shown.stdout, /^native-cpu +Chosen/m);
  });

  it('an adapter of WebGPU that computes in software is refused', () => {
    assert.throws(() => requireRealAdapter(null), /no adapter/);
    assert.throws(() => requireRealAdapter({ isFallbackAdapter: true }), /in software/);
    assert.throws(() => requireRealAdapter({ info: { isFallbackAdapter: true } }), /in software/);
    requireRealAdapter({ info: { isFallbackAdapter: false } });
  });
});
