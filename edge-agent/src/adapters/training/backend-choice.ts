import { LIMITS, TributaryError } from '@tributary/proto';

import { backendLabel, startBackend, type BackendName } from './backend.js';
import type { BackendSettings, WorkerReply } from './messages.js';
import { chooseBackend, type Refusal } from './probe.js';
import { requireRunning } from './stop-word.js';
import type { StepMemory, TrialModel } from './trial.js';

interface Chosen {
  readonly backend: BackendName;
  readonly memory: StepMemory;
}

/** Chooses a backend for each model once, and starts it again for every task. */
export class BackendChoice {
  readonly #chosen = new Map<string, Chosen>();

  /** Makes the model's backend that of this thread. Rejects with TRAINING_FAILED where none serves, JOB_CANCELLED. */
  async start(
    model: TrialModel,
    settings: BackendSettings,
    report: (reply: WorkerReply) => void,
  ): Promise<Chosen & { readonly label: string }> {
    const key = keyOf(model, settings);
    const known = this.#chosen.get(key);
    const { chosen, refused } =
      known === undefined ? await this.#choose(key, model, settings) : { chosen: known, refused: [] };
    await startBackend(chosen.backend, settings.packages);
    const label = backendLabel(chosen.backend);
    report({ type: 'backend', label, refused });
    return { ...chosen, label };
  }

  async #choose(
    key: string,
    model: TrialModel,
    settings: BackendSettings,
  ): Promise<{ readonly chosen: Chosen; readonly refused: readonly Refusal[] }> {
    const { backend, memory, refused } = await chooseBackend(model, settings.backends, settings);
    // A trial that was cut short says nothing about its backend: what came after it must not be remembered.
    requireRunning(settings.stop);
    if (backend === undefined)
      throw new TributaryError(
        'TRAINING_FAILED',
        `no backend can train this model; ${refused.map(describeRefusal).join('; ')}`,
      );
    if (this.#chosen.size >= LIMITS.backendsRemembered) this.#chosen.clear();
    const chosen = { backend, memory };
    this.#chosen.set(key, chosen);
    return { chosen, refused };
  }
}

export const describeRefusal = ({ backend, reason }: Refusal): string => `${backend}: ${reason}`;

const keyOf = ({ spec, input }: TrialModel, { backends, packages }: BackendSettings): string =>
  JSON.stringify([
    spec.model.layers,
    spec.task,
    spec.training.optimizer.type,
    spec.training.loss,
    input,
    backends,
    packages,
  ]);
